"""`gwctl audit`: who did what by which command, in every form, and nothing secret in it."""

from __future__ import annotations

from keyvault.errors import Exit
from tests.cli.conftest import Gwctl


def test_an_entry_says_who_by_which_command_and_what(gwctl: Gwctl) -> None:
    made = gwctl("keys", "create", "ci-bot", "--json").json
    entry = gwctl("audit", "list", "--action", "keys.*", "--json").json["entries"][-1]
    assert (entry["command"], entry["action"], entry["scope"]) == ("gwctl keys create", "keys.create", "key:ci-bot")
    assert entry["detail"]["id"] == made["id"]
    assert entry["sealed"] is True
    assert "@" in entry["actor"]
    assert made["secret"] not in gwctl("audit", "export").out


def test_the_list_ends_with_the_newest_and_can_be_narrowed(gwctl: Gwctl) -> None:
    for name in ("one", "two"):
        gwctl("keys", "create", name, "--json")
        gwctl.clock.advance(seconds=3600)
    scopes = [entry["scope"] for entry in gwctl("audit", "list", "--json").json["entries"]]
    assert scopes[-2:] == ["key:one", "key:two"]
    late = gwctl("audit", "list", "--since", "90m", "--json").json["entries"]
    assert [entry["scope"] for entry in late] == ["key:two"]
    assert len(gwctl("audit", "list", "-n", "1", "--json").json["entries"]) == 1
    assert gwctl("audit", "list", "--actor", "nobody@*", "--json").json["entries"] == []


def test_one_entry_is_shown_by_its_number(gwctl: Gwctl) -> None:
    assert gwctl("audit", "show", "1", "--json").json["action"] == "customers.create"
    assert gwctl("audit", "show", "999").code == Exit.NOT_FOUND


def test_an_export_is_one_object_a_line_or_csv(gwctl: Gwctl) -> None:
    numbers = [line["seq"] for line in gwctl("audit", "export").lines]
    assert numbers == list(range(1, len(numbers) + 1))
    head, *lines = gwctl("audit", "export", "-o", "csv").out.splitlines()
    assert head.startswith("seq,at,actor,command,action,scope,detail")
    assert len(lines) == len(numbers)


def test_an_anchor_is_one_line_that_verify_takes_back(gwctl: Gwctl) -> None:
    line = gwctl("audit", "anchor").out
    assert len(line.splitlines()) == 1
    gwctl("keys", "create", "ci-bot", "--json")
    assert gwctl("audit", "verify", "--anchor", line, "--json").json["anchor_checked"] is True
    assert gwctl("audit", "verify", "--anchor", "nonsense").code == Exit.USAGE


def test_verify_says_what_it_could_not_check_and_what_is_not_sealed(gwctl: Gwctl) -> None:
    gwctl("keys", "create", "ci-bot", "--json")
    key = gwctl.home / "config" / "unlock.key"
    aside = key.rename(gwctl.home / "unlock.key")
    assert gwctl("keys", "suspend", "ci-bot").code == 0
    ran = gwctl("audit", "verify", "--json")
    assert (ran.json["ok"], ran.json["unsealed"], ran.json["seals_checked"]) == (True, 1, False)
    assert "the seals were not checked: the vault is locked" in ran.err
    aside.rename(key)
    gwctl("keys", "resume", "ci-bot")
    assert gwctl("audit", "verify", "--json").json["unsealed"] == 0
