"""30. An audit row edited, deleted, reordered → verify fails; the tail cut → seen by an anchor or the journal."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path

import pytest

from keyvault.errors import Exit
from tests.cli.conftest import Gwctl


@pytest.fixture
def log(gwctl: Gwctl) -> Gwctl:
    """A home with a handful of entries."""
    for name in ("one", "two", "three"):
        assert gwctl("keys", "create", name, "--json").code == 0
    return gwctl


def sql(gwctl: Gwctl, *statements: str) -> None:
    with sqlite3.connect(gwctl.home / "data" / "gateway.db") as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def verdict(gwctl: Gwctl, *options: str) -> tuple[int, int | None]:
    ran = gwctl("audit", "verify", "--json", *options)
    return ran.code, json.loads(ran.out)["first_bad"]


def test_a_log_that_nobody_touched_is_whole(log: Gwctl) -> None:
    assert verdict(log) == (0, None)


@pytest.mark.parametrize(
    ("statements", "first_bad"),
    [
        (["UPDATE audit SET detail = '{}' WHERE seq = 5"], 5),
        (["UPDATE audit SET command = 'gwctl keys list' WHERE seq = 6"], 6),
        (["UPDATE audit SET at_ms = at_ms - 1 WHERE seq = 6"], 6),
        (["DELETE FROM audit WHERE seq = 5"], 6),
        (["UPDATE audit SET seq = 99 WHERE seq = 5", "UPDATE audit SET seq = 5 WHERE seq = 6"], 5),
        (["UPDATE audit SET mac = NULL WHERE seq = 5"], 5),
    ],
)
def test_an_entry_that_was_changed_removed_or_moved_is_named(log: Gwctl, statements: list[str], first_bad: int) -> None:
    sql(log, *statements)
    assert verdict(log) == (Exit.CHECK_FAILED, first_bad)


def made_anew(gwctl: Gwctl, seq: int) -> None:
    """Change an entry and chain all that follow it again, as anybody can who knows how."""
    with sqlite3.connect(gwctl.home / "data" / "gateway.db") as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("UPDATE audit SET scope = 'key:nobody' WHERE seq = ?", (seq,))
        previous = connection.execute("SELECT digest FROM audit WHERE seq = ?", (seq - 1,)).fetchone()[0]
        for row in connection.execute("SELECT * FROM audit WHERE seq >= ? ORDER BY seq", (seq,)).fetchall():
            names = ("seq", "at_ms", "actor", "action", "scope", "detail", *(["command"] if row["command"] else []))
            text = json.dumps({name: row[name] for name in names}, sort_keys=True, separators=(",", ":"))
            digest = hashlib.sha256(previous + text.encode()).digest()
            connection.execute(
                "UPDATE audit SET previous = ?, digest = ? WHERE seq = ?", (previous, digest, row["seq"])
            )
            previous = digest
    connection.close()


def test_a_chain_made_anew_does_not_fit_its_seals(log: Gwctl) -> None:
    (log.home / "state" / "journal.jsonl").unlink()
    made_anew(log, 5)
    ran = log("audit", "verify")
    assert ran.code == Exit.CHECK_FAILED
    assert "audit entry 5 does not fit its seal" in ran.err


def test_without_the_vault_a_chain_made_anew_shows_against_the_journal(log: Gwctl) -> None:
    made_anew(log, 5)
    (log.home / "config" / "unlock.key").unlink()
    assert verdict(log) == (Exit.CHECK_FAILED, 5)


def test_a_cut_tail_shows_against_the_journal_and_without_it_against_an_anchor(log: Gwctl, tmp_path: Path) -> None:
    kept = tmp_path / "anchor.txt"
    kept.write_text(log("audit", "anchor").out)
    end = int(kept.read_text().split()[0])
    sql(log, f"DELETE FROM audit WHERE seq = {end}")
    assert verdict(log) == (Exit.CHECK_FAILED, end)
    (log.home / "state" / "journal.jsonl").unlink()
    assert verdict(log, "--anchor", str(kept)) == (Exit.CHECK_FAILED, end)
    assert verdict(log, "--anchor", kept.read_text()) == (Exit.CHECK_FAILED, end)
