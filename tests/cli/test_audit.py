"""`gwctl audit`: who did what by which command, in every form, and nothing secret in it."""

from __future__ import annotations

import json
import shutil
import sqlite3

import pytest

from keyvault.errors import Exit
from tests.cli.conftest import Gwctl


def by_hand(gwctl: Gwctl, statement: str) -> None:
    with sqlite3.connect(gwctl.home / "data" / "gateway.db") as connection:
        connection.execute(statement)
    connection.close()


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


@pytest.mark.parametrize("moment", ["9223372036854775807", "-9223372036854775807", "'never'"])
def test_a_time_that_cannot_be_is_an_answer_of_verify_and_crashes_nothing(gwctl: Gwctl, moment: str) -> None:
    by_hand(gwctl, f"UPDATE audit SET at_ms = {moment} WHERE seq = 2")
    assert gwctl("audit", "list").code == 0
    assert gwctl("audit", "export").code == 0
    ran = gwctl("audit", "verify", "--json")
    assert (ran.code, json.loads(ran.out)["first_bad"]) == (Exit.CHECK_FAILED, 2)


@pytest.mark.parametrize("place", ["at its end", "in the middle"])
def test_a_journal_with_a_foreign_line_is_put_aside_and_written_anew(gwctl: Gwctl, place: str) -> None:
    journal = gwctl.home / "state" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    lines.insert(len(lines) if place == "at its end" else 2, b"garbage\n")
    journal.write_bytes(b"".join(lines))
    verified = gwctl("audit", "verify")
    assert (verified.code, "a line there that is none" in verified.err) == (Exit.CHECK_FAILED, True)
    assert gwctl("doctor", "--offline").code == Exit.CHECK_FAILED
    if place == "at its end":
        refused = gwctl("keys", "create", "ci-bot", "--json")
        assert refused.code == Exit.FAILURE
        assert "hint: gwctl vault reseal, which puts it aside and writes a new one" in refused.err
    preview = gwctl("vault", "reseal", "--dry-run", "--json").json
    assert len(preview["problems"]) == 1
    done = gwctl("vault", "reseal", "--confirm", preview["vault_id"], "--json").json
    (aside,) = (gwctl.home / "state").glob("journal.jsonl.aside-*")
    assert aside.read_bytes().startswith(b"".join(lines))
    assert done["journal_aside"] == str(aside)
    assert gwctl("audit", "list", "--json").json["entries"][-1]["detail"]["journal_aside"] == aside.name
    assert gwctl("audit", "verify").code == 0
    assert gwctl("keys", "create", "ci-bot", "--json").code == 0


@pytest.mark.parametrize("how", ["removed", "removed with what is beside it", "cut"])
def test_a_journal_that_was_cut_is_told_of_and_filled_again(gwctl: Gwctl, how: str) -> None:
    gwctl("keys", "create", "ci-bot", "--json")
    journal = gwctl.home / "state" / "journal.jsonl"
    whole = journal.read_bytes()
    if how == "cut":
        journal.write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    else:
        journal.unlink()
        if how != "removed":
            journal.with_name("journal.jsonl.end").unlink()
    checked = gwctl("doctor", "--offline", "--json")
    (found,) = [row for row in json.loads(checked.out)["checks"] if row["check"] == "journal"]
    assert found["state"] == "warning"
    assert "was removed" in found["text"] or "was cut" in found["text"]
    ran = gwctl("keys", "suspend", "ci-bot")
    assert "warning: the journal had been cut or removed" in ran.err
    assert "cut or removed" not in gwctl("keys", "resume", "ci-bot").err
    assert journal.read_bytes().startswith(whole)
    assert gwctl("alerts", "list", "--json").json["alerts"][0]["scope"] == "journal"


def test_a_new_gateway_and_a_healthy_one_say_nothing_of_the_journal(nowhere: Gwctl) -> None:
    ran = nowhere("init", "--yes", "--unlock", "file", "--json")
    assert "journal" not in ran.err
    assert "journal" not in nowhere("keys", "create", "ci-bot", "--json").err


def test_an_older_database_does_not_pass_because_the_journal_was_cut_too(gwctl: Gwctl) -> None:
    data, old = gwctl.home / "data", gwctl.home / "old"
    gwctl("keys", "create", "ci-bot", "--json")
    shutil.copytree(data, old)
    gwctl("keys", "revoke", "ci-bot", "--yes")
    shutil.rmtree(data)
    old.rename(data)
    (gwctl.home / "state" / "journal.jsonl").unlink()
    ran = gwctl("keys", "create", "another", "--json")
    assert (ran.code, "an older database was put back" in ran.err) == (Exit.CONFLICT, True)


@pytest.mark.parametrize(
    ("scope", "undo"),
    [
        ("customer:default", "UPDATE customers SET suspended = 0"),
        ("project:default/default", "UPDATE projects SET suspended = 0"),
        ("key:ci-bot", "UPDATE keys SET state = 'active'"),
        ("all", "UPDATE gateway SET suspended = 0"),
    ],
)
def test_what_somebody_resumed_by_hand_is_not_said_to_be_resumed(gwctl: Gwctl, scope: str, undo: str) -> None:
    gwctl("keys", "create", "ci-bot", "--json")
    assert gwctl("suspend", scope, "--yes").code == 0
    by_hand(gwctl, undo)
    ran = gwctl("resume", scope)
    assert (ran.code, "by something else than gwctl" in ran.err) == (Exit.FAILURE, True)
    assert "hint: gwctl doctor" in ran.err
