"""29. Names with newline, ANSI escapes, bidi marks, 10k characters, Rich markup, CSV formula → escaped everywhere.

No way in takes such a name, and every refusal is one short harmless line. A name that somebody wrote into the database
all the same acts on nothing that shows it.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from keyvault.domain.keys import Key, KeyState, Policy
from keyvault.domain.reports import LiveRow, Totals
from opsconsole.view.live import reading
from opsconsole.view.live.snapshot import LiveQuestion, LiveSnapshot
from tests.attacks.conftest import write
from tests.cli.conftest import Gwctl, Ran
from tests.tui import examples
from tests.tui.driving import running, screen_text
from tests.tui.test_reader import live

NAMES = {
    "newline": "bot\nadmin",
    "ansi": "\x1b[2Jbot\x1b]0;owned\x07",
    "bidi": "bot\u202etob\u2066",
    "10k": "n" * 10_000,
    "markup": "[bold red]bot[/]",
    "formula": '=HYPERLINK("http://evil.example";"bot")',
    "plus": "+1+1",
    "at": "@SUM(A1)",
    "tab": "\tbot",
}
ACTING = frozenset("\x1b\x07\r\t\u202e\u2066\u200b\x00")
FOREIGN = "Fq7RtY2mZx9LbV4cKp1sWdGh6JnQ3eTu8aBi5oXyMrUvCzEl"

every_name = pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)


def lines_are_harmless(ran: Ran) -> None:
    assert not ACTING & set(ran.out + ran.err)
    assert all(len(line) < 400 for line in ran.err.splitlines())
    assert all(line.startswith("gwctl: ") for line in ran.err.splitlines())
    assert "internal error" not in ran.err


def refused(ran: Ran) -> None:
    assert ran.code in (2, 3), (ran.code, ran.err)
    assert len(ran.err.splitlines()) <= 2
    lines_are_harmless(ran)


@every_name
def test_no_command_makes_anything_of_such_a_name(gwctl: Gwctl, name: str) -> None:
    for words in (
        ["keys", "create", "--json", "--", name],
        ["customers", "create", "--", name],
        ["projects", "create", "--", f"default/{name}"],
        ["keys", "create", "bot", "--project", f"{name}/x", "--create", "--json"],
        ["keys", "create", "bot", "--tag", f"{name}=x", "--json"],
        ["keys", "show", "--", name],
        ["upstreams", "create", "--provider", "openai", "--secret-stdin", "--", name],
        ["keys", "adopt", "--secret-stdin", "--", name],
        ["routes", "set", "--", f" {name}", "openai/gpt-5"],
    ):
        refused(gwctl(*words, stdin=f"sk-{FOREIGN}"))
    assert gwctl("keys", "list", "-o", "name").out == ""
    assert gwctl("customers", "list", "-o", "name").out == "default\n"


@every_name
@pytest.mark.parametrize("section", ["keys", "customers", "projects"])
def test_no_file_makes_anything_of_such_a_name(gwctl: Gwctl, name: str, section: str) -> None:
    quoted = json.dumps(name)
    for text in (f"[{section}.{quoted}]\n", f"[{section}.x]\n{quoted} = 1\n", f"[{quoted}.x]\n"):
        refused(gwctl("apply", "-f", "-", "--out-dir", str(gwctl.home / "new"), stdin=text))


@every_name
def test_no_table_makes_anything_of_such_a_name(gwctl: Gwctl, name: str) -> None:
    table = io.StringIO()
    csv.writer(table).writerows([["name"], [name]])
    header = io.StringIO()
    csv.writer(header).writerows([["name", name], ["bot", "x"]])
    as_json = json.dumps({"keys": [{"name": name}]})
    with_field = json.dumps([{"name": "bot", name: 1}])
    for text in (table.getvalue(), header.getvalue(), as_json, with_field):
        refused(gwctl("keys", "import", "-", "--out-dir", str(gwctl.home / "new"), stdin=text))


@every_name
def test_another_gateways_names_become_harmless_ones(gwctl: Gwctl, name: str) -> None:
    litellm = {"keys": [{"key_alias": name, "team_id": name, "metadata": {name: name}, "models": [name]}]}
    config = {
        "model_list": [
            {"model_name": name, "litellm_params": {"model": f"groq/{name}", "api_key": "gsk_0123456789", name: name}},
            {"model_name": "m", "litellm_params": {"model": name, "api_base": name}},
        ],
        "router_settings": {"fallbacks": [{name: [name]}], "model_group_alias": {name: name}, name: name},
        name: {name: name},
    }
    one_api = {
        "channels": [{"type": 1, "name": name, "key": "sk-0123456789ab", "models": name, "base_url": name}],
        "tokens": [{"name": name, "key": FOREIGN, "models": name, "user_id": name}],
    }
    for kind, document in (("litellm", litellm), ("litellm", config), ("one-api", one_api)):
        for words in (["--plan"], ["--out-dir", str(gwctl.home / "new")]):
            ran = gwctl("import", kind, "-", *words, stdin=json.dumps(document))
            assert ran.code in (0, 2, 6), ran.err  # 6: the same name came from both gateways
            lines_are_harmless(ran)
            assert all(len(line) < 600 for line in ran.out.splitlines())
    for key in gwctl("keys", "export", "--json").json["keys"]:
        assert all(part.isascii() and part.isalnum() for part in key["name"].replace("-", "").split("."))
        assert len(key["name"]) <= 64


@every_name
def test_a_name_written_into_the_database_acts_on_nothing(gwctl: Gwctl, name: str) -> None:
    gwctl("keys", "create", "bot", "--json")
    assert write(gwctl.home, "UPDATE keys SET name = ? WHERE name = 'bot'", name) == 1
    for form in ("table", "json", "jsonl", "csv", "name"):
        for words in (["keys", "list"], ["keys", "export"]):
            shown = gwctl(*words, "-o", form).out
            assert not ACTING & set(shown)
            assert name in shown or not name.isprintable() or name.startswith(("=", "+", "@")) or form != "table"
    rows = list(csv.reader(io.StringIO(gwctl("keys", "list", "-o", "csv").out)))
    assert len(rows) == 2
    assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for row in rows for cell in row)
    assert [key["name"] for key in gwctl("keys", "list", "--json").json["keys"]] == [name]
    assert len(gwctl("keys", "list", "-o", "name").out.splitlines()) == 1


def a_key(name: str) -> Key:
    soon = examples.NOW + timedelta(days=1)
    return Key(1, "0" * 12, name, 1, "c", "p", "live", KeyState.ACTIVE, Policy(), {}, examples.NOW, soon)


@every_name
async def test_the_console_shows_such_a_name_as_text(name: str) -> None:
    """Names come to the console through `reading`, from the ledger and from the keys alike."""
    [read] = reading.rows(live(rows=(LiveRow(name, name, Totals(), ()),)))
    [ending] = reading.expiring([a_key(name)], examples.NOW)

    def answer(question: LiveQuestion) -> LiveSnapshot:
        busy = examples.busy(question)
        row = replace(busy.rows[0], group=read.group, model=read.model)
        return replace(busy, rows=(row,), expiring_keys=(ending,))

    async with running(answer, size=(120, 36)) as (console, pilot):
        await pilot.pause()
        shown = screen_text(console)
    assert not ACTING & set(shown)
    assert all(len(line) <= 120 for line in shown.splitlines())
    if name.isprintable() and len(name) < 20:
        assert name in shown
