"""`gwctl apply`: what a file says becomes so, once, all of it or nothing."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from tests.cli.conftest import Gwctl, Ran

FILE = """\
[customers.acme]
multiplier = "1.15"
tags = { tier = "gold" }

[projects."acme/web"]

[keys.ci-bot]
project = "acme/web"
models = [
  "gpt-5*",
  "claude-*",
]
addresses = ["10.0.0.0/8"]
expires = 2027-01-01
rotate_every = "30d"
"""


def apply(gwctl: Gwctl, text: str, *words: str) -> Ran:
    path = gwctl.home.parent / "tenants.toml"
    path.write_text(text)
    return gwctl("apply", "-f", str(path), *words)


def new_keys(gwctl: Gwctl) -> Path:
    return gwctl.home.parent / "new"


def applied(gwctl: Gwctl, text: str) -> Ran:
    ran = apply(gwctl, text, "--out-dir", str(new_keys(gwctl)), "--yes")
    assert ran.code == 0, ran.err
    return ran


def test_a_file_becomes_so_and_a_second_time_there_is_nothing_to_do(gwctl: Gwctl) -> None:
    applied(gwctl, FILE)
    key = gwctl("keys", "show", "ci-bot", "--json").json
    assert (key["project"], key["models"], key["addresses"]) == ("acme/web", ["gpt-5*", "claude-*"], ["10.0.0.0/8"])
    assert (key["expires_at"], key["rotate_every"]) == ("2027-01-01T00:00:00.000Z", "30d")
    again = apply(gwctl, FILE)
    assert (again.code, again.out) == (0, "no changes\n")


def test_a_plan_shows_every_step_and_changes_nothing(gwctl: Gwctl) -> None:
    applied(gwctl, FILE)
    wanted = FILE.replace('"gpt-5*"', '"gpt-6*"').replace('"1.15"', '"1.2"') + "[keys.second]\n"
    plan = apply(gwctl, wanted, "--plan", "--prune")
    assert plan.out.splitlines() == [
        "~ customer:acme  multiplier 1.15 → 1.2",
        "~ key:ci-bot  models gpt-5*,claude-* → gpt-6*,claude-*",
        "+ key:second  project default/default, env live",
    ]
    assert "1 new key will need --out-dir DIR" in plan.err
    assert apply(gwctl, FILE, "--plan").out == "no changes\n"


def test_a_plan_as_json_has_old_and_new_values(gwctl: Gwctl) -> None:
    applied(gwctl, FILE)
    plan = apply(gwctl, FILE.replace('"30d"', '"never"'), "--plan", "--json").json
    assert plan == {
        "applied": False,
        "new_secrets": 0,
        "changes": [
            {
                "change": "change",
                "scope": "key:ci-bot",
                "differences": [{"field": "rotate_every", "old": "30d", "new": "never"}],
            }
        ],
    }


def test_differences_are_told_by_the_exit_code_when_asked_for(gwctl: Gwctl) -> None:
    assert apply(gwctl, FILE, "--plan", "--exit-code").code == 7
    assert apply(gwctl, FILE, "--plan").code == 0
    applied(gwctl, FILE)
    assert apply(gwctl, FILE, "--plan", "--exit-code").code == 0


def test_a_new_key_needs_a_place_for_its_secret(gwctl: Gwctl) -> None:
    refused = apply(gwctl, FILE)
    assert refused.code == 2
    assert "1 new key needs a place for the secret; nothing was changed" in refused.err
    assert gwctl("customers", "list", "-o", "name").out == "default\n"


def test_new_secrets_go_to_private_files_and_nowhere_else(gwctl: Gwctl) -> None:
    ran = applied(gwctl, FILE)
    [file] = new_keys(gwctl).iterdir()
    secret = file.read_text().strip()
    assert re.fullmatch(r"sk-gw_live_\w{62}", secret)
    assert (file.name, stat.S_IMODE(file.stat().st_mode)) == ("ci-bot.key", 0o600)
    assert stat.S_IMODE(new_keys(gwctl).stat().st_mode) == 0o700
    assert "sk-gw_" not in ran.out + ran.err


def test_a_directory_that_others_may_enter_is_refused(gwctl: Gwctl) -> None:
    new_keys(gwctl).mkdir(mode=0o755)
    refused = apply(gwctl, FILE, "--out-dir", str(new_keys(gwctl)))
    assert (refused.code, "others may enter it" in refused.err) == (2, True)
    assert gwctl("keys", "list", "-o", "name").out == ""


def test_what_the_file_leaves_out_stays_as_it_is(gwctl: Gwctl) -> None:
    applied(gwctl, FILE)
    gwctl("keys", "update", "ci-bot", "--pin", "--tag", "team=web")
    gwctl("keys", "suspend", "ci-bot")
    assert apply(gwctl, FILE).out == "no changes\n"


def test_a_key_is_suspended_and_resumed_by_its_state(gwctl: Gwctl) -> None:
    applied(gwctl, FILE)
    applied(gwctl, FILE + 'state = "suspended"\n')
    assert gwctl("keys", "show", "ci-bot", "--json").json["state"] == "suspended"
    applied(gwctl, FILE + 'state = "active"\n')
    assert gwctl("keys", "show", "ci-bot", "--json").json["state"] == "active"


def test_pruning_ends_what_the_file_does_not_name_after_a_question(gwctl: Gwctl) -> None:
    applied(gwctl, FILE)
    kept = "[customers.other]\n"
    refused = apply(gwctl, kept, "--prune")
    assert (refused.code, "--yes required when not interactive" in refused.err) == (2, True)
    done = apply(gwctl, kept, "--prune", "--yes")
    assert done.out.splitlines() == [
        "+ customer:other",
        "- key:ci-bot  state active → revoked",
        "- customer:acme  suspended no → yes",
    ]
    assert gwctl("keys", "show", "ci-bot", "--json").json["state"] == "revoked"
    assert apply(gwctl, kept, "--prune", "--yes").out == "no changes\n"


def test_a_person_who_says_no_keeps_everything(gwctl: Gwctl) -> None:
    applied(gwctl, FILE)
    path = gwctl.home.parent / "empty.toml"
    path.write_text("")
    asked = gwctl("apply", "-f", str(path), "--prune", stdin="n\n", terminal=True)
    assert (asked.code, "revoke or suspend key:ci-bot, customer:acme?" in asked.err) == (1, True)
    assert gwctl("keys", "show", "ci-bot", "--json").json["state"] == "active"


def test_what_is_printed_as_current_leaves_nothing_to_do(gwctl: Gwctl) -> None:
    applied(gwctl, FILE)
    gwctl("customers", "create", "b.v", "--tag", "a=b \\ 'c' #", "--multiplier", "0.000001")
    gwctl("keys", "create", "odd", "--models", "@x,'q',[a],=1+1", "--env", "test", "--json")
    gwctl("keys", "create", "gone", "--json")
    gwctl("keys", "revoke", "gone", "--yes")
    current = gwctl("apply", "--print-current").out
    assert "gone" not in current
    assert apply(gwctl, current, "--prune").out == "no changes\n"


def test_who_is_never_captured_goes_from_file_to_file(gwctl: Gwctl) -> None:
    for marked in (True, False, True):
        applied(gwctl, f"[customers.hospital]\nnever_capture = {str(marked).lower()}\n")
        assert gwctl("customers", "show", "hospital", "--json").json["never_capture"] is marked
    applied(gwctl, "[customers.hospital]\nmultiplier = 1.5\n")
    current = gwctl("apply", "--print-current").out
    assert "never_capture = true" in current.partition("[customers.hospital]")[2]
    assert apply(gwctl, current).out == "no changes\n"


WRONG = {
    'x = 1\n[keys.a]\nmodels = ["a b"]': "tenants.toml:1: x: no such section: 'x'",
    "[key.a]": "tenants.toml:1: key: no such section: 'key'|did you mean keys?",
    "[keys.a]\n\n# more\nmodel = []": "tenants.toml:4: keys.a.model: no such field: 'model'|did you mean models?",
    '[keys.a]\nmodels = ["a b"]': "tenants.toml:2: keys.a.models: not a pattern of model names",
    "[keys.a]\nmodels = 1": "tenants.toml:2: keys.a.models: expected a list of texts, got a number",
    '[keys.a]\nexpires = "90d"': "tenants.toml:2: keys.a.expires: not a date: '90d'|write it like 2027-01-01",
    "[keys.a]\nexpires = 2020-01-01": "tenants.toml:1: keys.a: already past",
    '[keys.a]\naddresses = ["10.0.0.1/8"]': "tenants.toml:2: keys.a.addresses: not the beginning of a network",
    '[keys.a]\ntags = { team = "x", n = 1 }': "tenants.toml:2: keys.a.tags: expected a table of texts",
    '[keys.a]\nproject = "acme/wbe"': "tenants.toml:1: keys.a: no such project: 'acme/wbe'",
    '[keys.a]\nenv = "prod"': "tenants.toml:2: keys.a.env: no such choice: 'prod'|one of live, test",
    "[keys.a]\n[keys.A]": "tenants.toml:2: keys.A: the same name as 'a'",
    '[projects."acme"]': "tenants.toml:1: projects.acme: not a project: 'acme'",
    '[projects."none/x"]': "tenants.toml:1: projects.none/x: no such customer: 'none'",
    "[customers.a]\nmultiplier = -1": "tenants.toml:2: customers.a.multiplier: not a multiplier",
    "[customers.a]\nbudget = 5": "tenants.toml:2: customers.a.budget: no such field",
    "[customers]\na = 1": "tenants.toml:2: customers.a: expected a table",
    "customers = 5": "tenants.toml:1: customers: expected tables",
    "[keys.a": "tenants.toml:1: expected ']' at the end of a table declaration",
    "a = " + "[" * 5000: "tenants.toml: nested too deeply",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:40])
def test_a_bad_file_says_where_and_changes_nothing(gwctl: Gwctl, text: str) -> None:
    refused = apply(gwctl, f"{text}\n", "--out-dir", str(new_keys(gwctl)))
    message, _, hint = WRONG[text].partition("|")
    assert refused.code in (2, 3)
    assert message in refused.err
    assert hint in refused.err
    assert "internal error" not in refused.err


def test_one_bad_key_among_good_ones_changes_nothing(gwctl: Gwctl) -> None:
    applied(gwctl, FILE)
    gwctl("keys", "revoke", "ci-bot", "--yes")
    refused = apply(gwctl, FILE + "[keys.fine]\n", "--out-dir", str(new_keys(gwctl)))
    assert (refused.code, "tenants.toml:7: keys.ci-bot: key ci-bot is revoked" in refused.err) == (6, True)
    assert gwctl("keys", "list", "-o", "name").out == "ci-bot\n"
    assert [file.name for file in new_keys(gwctl).iterdir()] == ["ci-bot.key"]


@pytest.mark.parametrize("change", ['project = "default/default"', 'env = "test"'])
def test_what_a_key_was_made_with_stays(gwctl: Gwctl, change: str) -> None:
    applied(gwctl, FILE)
    text = FILE.replace('project = "acme/web"', change) if change.startswith("project") else FILE + change + "\n"
    refused = apply(gwctl, text)
    assert refused.code == 6
    assert "stays" in refused.err


def test_a_rehearsal_writes_no_file_and_no_row(gwctl: Gwctl) -> None:
    rehearsed = apply(gwctl, FILE, "--out-dir", str(new_keys(gwctl)), "--dry-run")
    assert rehearsed.code == 0
    assert not new_keys(gwctl).exists()
    assert gwctl("keys", "list", "-o", "name").out == ""


def test_new_keys_get_what_the_settings_say_where_the_file_says_nothing(gwctl: Gwctl) -> None:
    (gwctl.home / "config" / "config.toml").write_text('[keys]\nmodels = ["gpt-*"]\nenv = "test"\n')
    applied(gwctl, "[keys.a]\n[keys.b]\nmodels = []\nenv = 'live'\n")
    found = {key["name"]: key for key in gwctl("keys", "list", "--json").json["keys"]}
    assert (found["a"]["models"], found["a"]["env"]) == (["gpt-*"], "test")
    assert (found["b"]["models"], found["b"]["env"]) == ([], "live")
