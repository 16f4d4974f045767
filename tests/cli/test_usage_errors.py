"""What is typed wrongly is answered in one line and a hint, with exit code 2, and never with a traceback."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Gwctl

WRONG = {
    "kyes list": "no such command: gwctl kyes|did you mean: gwctl keys",
    "keys creat x": "no such command: gwctl keys creat|did you mean: gwctl keys create",
    "vault slots ad": "no such command: gwctl vault slots ad|gwctl vault slots --help",
    "keys create": "missing argument 'NAME'|gwctl keys create --help",
    "keys create a b": "got unexpected extra argument(s) (b)|gwctl keys create --help",
    "keys list --jsno": "no such option: --jsno|did you mean --json?",
    "keys list -o xml": "-o: no such choice: 'xml'|one of table, json, jsonl, csv, name, secret",
    "keys list -o secret": "-o secret is for commands that make a key's secret|gwctl help formats",
    "keys list --color green": "--color: no such choice: 'green'|one of auto, always, never",
    "keys list --json -o csv": "--json and -o csv ask for two things|give one of them",
    "keys create bot": "the new secret would be lost: stdout is not a terminal|--json, or -o secret",
    "keys create bot -o name": "the new secret would be lost: -o name does not carry it|--json",
    "keys rotate bot --grace": "option '--grace' requires an argument|gwctl keys rotate --help",
    "completion tcsh": "invalid value for 'SHELL': 'tcsh' is not one of|gwctl completion --help",
    "routes history -n none": "invalid value for '-n' / '--limit': not a whole number: 'none'|gwctl routes history",
    "routes history -n 0": "invalid value for '-n' / '--limit': must be at least 1|gwctl routes history --help",
    "usage tail -n 99999999999999999999": "invalid value for '-n' / '--limit': must be at most 100000|gwctl usage",
    "upstreams test x --timeout soon": "invalid value for '--timeout': not a number: 'soon'|gwctl upstreams test",
    "upstreams test x --timeout nan": "invalid value for '--timeout': must be at least 1|gwctl upstreams test",
    "keys create bot --endpoints bogus": "no such endpoint: 'bogus'|one of default, all",
    "keys create bot --models ,": "--models names nothing|leave the option out, or",
    "keys create bot --tag x": "not a tag: 'x'|write it as --tag NAME=VALUE",
    "keys create bot --project acme": "not a project: 'acme'|write it as CUSTOMER/PROJECT",
    "keys create bot --expires 2020-01-01": "already past|--expires 90d",
    "keys rotate bot --grace 5y": "not a duration: '5y'|write it like",
    "keys update a --budget none": "a key's budgets are changed by gwctl budgets|gwctl budgets delete key:a",
    "keys update a --soft-budget 1usd/day": "a key's budgets are changed by|gwctl budgets set key:a 10usd/month",
    "keys create a --budget 10eur/month --json": "not an amount in dollars: '10eur'|write it like 10usd/month",
    "budgets set key:a 5000000usd/day": "too large an amount|write it like 10usd/month, up to 4,000,000 dollars",
    "balances top-up customer:a -5 --reason x": "a top-up is a positive amount|to take money out: gwctl balances adj",
    "balances release customer:a -5 --reason x": "not an amount in dollars: '-5'|write it like 2.50",
    "routes rollback -1": "invalid value for '[N]': must be at least 0|gwctl routes rollback --help",
    "routes diff 1 -2x": "invalid value for '[B]': not a whole number: '-2x'|gwctl routes diff --help",
    "customers create a --multiplier 1e9": "not a plain number: '1e9'|write it like 1.15",
    "--nonsense": "no such option: --nonsense|gwctl --help",
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_command_line_gets_one_line_and_a_hint(nowhere: Gwctl, line: str) -> None:
    message, hint = WRONG[line].split("|")
    ran = nowhere(*line.split())
    said = ran.err.splitlines()
    assert ran.code == 2
    assert ran.out == ""
    assert said[0].startswith(f"gwctl: {message}")
    assert said[1].startswith(f"gwctl: hint: {hint}")
    assert len(said) == 2


WRONG_VALUES = {
    "keys create -bot --json": 2,
    "keys create --json -- -bot": 2,
    "keys create bot --tag novalue --json": 2,
    "keys create bot --env prod --json": 2,
    "keys create bot --expires yesterday --json": 2,
    "keys create bot --expires 2020-01-01 --json": 2,
    "keys create bot --endpoints nonsense --json": 2,
    "keys create bot --project acme --json": 2,
    "keys create bot --project acme/web --json": 3,
    "keys rotate bot --json": 3,
    "keys rotate bot --grace 5y --json": 2,
    "keys show nobody": 3,
    "keys list --customer nobody": 3,
    "customers create acme --multiplier x": 2,
    "customers create acme/web": 2,
    "customers update default --suspend --resume": 2,
    "customers show nobody": 3,
    "projects create acme/web": 3,
    "projects create web": 2,
    "routes set fast gpt-5": 2,
    "routes set fast openai/gpt-5": 3,
    "routes show fast": 3,
    "routes delete fast": 3,
    "upstreams create x --provider nobody --no-secret": 3,
    "upstreams create x --provider openai": 2,
    "upstreams show nobody": 3,
    "upstreams test nobody": 3,
    "upstreams delete nobody --confirm nobody": 3,
    "vault slots delete nothing --confirm nothing": 3,
    "prices set openai/gpt-5 --input cheap --output 1": 2,
    "prices set gpt-5 --input 1 --output 1": 2,
    "prices set nobody/gpt-5 --input 1 --output 1": 3,
    "prices show nobody/gpt-5": 3,
    "usage show --by planet": 2,
    "usage show --by key,key": 2,
    "usage show --by ,": 2,
    "upstreams create x --provider ollama --no-secret --allow-private --dialects ,": 2,
    "keys update bot": 2,
    "customers update default": 2,
    "projects update default/default": 2,
    "keys create bot --endpoints , --json": 2,
    "keys update bot --endpoints ,": 2,
    "upstreams create x --provider openai --secret-file /nosuch": 2,
    "usage show --since yesterday": 2,
    "usage show --tz Mars/Base": 2,
    "usage show --since 999999d": 2,
    "usage show --since 0001-01-01T00:00+14:00": 2,
    "keys create bot --expires 999999w --json": 2,
    "keys rotate bot --grace 999999w --json": 2,
    "usage request 01J00000000000000000000000": 3,
    "console": 2,
    "help nonsense": 3,
    "init": 6,
}


@pytest.mark.parametrize("line", WRONG_VALUES)
def test_a_wrong_value_gets_a_message_and_its_exit_code(gwctl: Gwctl, line: str) -> None:
    ran = gwctl(*line.split())
    assert ran.code == WRONG_VALUES[line], ran.err
    assert ran.out == ""
    assert "Traceback" not in ran.err
    assert "internal error" not in ran.err
    assert 1 <= len(ran.err.splitlines()) <= 2
    message = ran.err.splitlines()[0].removeprefix("gwctl: ")
    assert not message.endswith(".")
    assert message[0] == message[0].lower() or message.startswith(("GWCTL", "PostgreSQL"))


def test_an_unexpected_error_shows_its_traceback_only_with_debug_and_never_a_secret(gwctl: Gwctl) -> None:
    (gwctl.home / "data" / "gateway.db").write_bytes(b"sk-gw_live_abcdefghijkl" * 400)
    ran = gwctl("keys", "list")
    assert ran.code == 2
    assert "not a database" in ran.err
    assert "sk-gw_live" not in ran.err + gwctl("keys", "list", "--debug").err


def test_a_setting_that_is_wrong_names_its_file_and_key(gwctl: Gwctl) -> None:
    with (gwctl.home / "config" / "config.toml").open("a") as file:
        file.write("[serve]\nlisten = 8900\n")
    ran = gwctl("keys", "list")
    assert ran.code == 2
    assert "config.toml: serve.listen: expected a text, got a whole number" in ran.err
