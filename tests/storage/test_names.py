"""Names for completion: fast, from SQLite, never failing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyvault.clock import Clock
from keyvault.keys.customers import Customers
from keyvault.keys.lifecycle import Keys
from keyvault.storage import migrations, names
from keyvault.storage.engine import Database
from tests.pepper import FixedPepper


@pytest.fixture
def sqlite(tmp_path: Path, clock: Clock) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'a %?#b.db'}")
    migrations.upgrade(database)
    keys = Keys(database, FixedPepper(), clock)
    Customers(database, clock).create("Acme")
    for name in ("zeta", "CI-bot", "ci-old"):
        keys.create(name, project="acme/web", create_missing=True)
    keys.revoke("ci-old")
    with database.write() as tx:
        snapshots = ['{"routes": [{"alias": "old", "targets": []}]}', '{"routes": [{"alias": "fast", "targets": []}]}']
        for number, snapshot in enumerate(snapshots, 1):
            tx.exec_driver_sql(
                "INSERT INTO revisions (number, created_ms, actor, snapshot) VALUES (?, 0, 'me', ?)", (number, snapshot)
            )
    yield database
    database.close()


def test_names_complete_without_regard_to_case(sqlite: Database) -> None:
    assert names.complete(sqlite.url, "keys") == ["CI-bot", "zeta"]
    assert names.complete(sqlite.url, "keys", "ci") == ["CI-bot"]
    assert names.complete(sqlite.url, "customers", "a") == ["Acme"]
    assert names.complete(sqlite.url, "projects", "ACME/") == ["Acme/web"]
    assert names.complete(sqlite.url, "upstreams") == []


def test_aliases_are_those_of_the_newest_revision(sqlite: Database) -> None:
    assert names.complete(sqlite.url, "aliases") == ["fast"]


def test_names_are_read_while_another_process_writes(sqlite: Database) -> None:
    with sqlite.write() as tx:
        tx.exec_driver_sql("UPDATE keys SET state = 'revoked'")
        assert names.complete(sqlite.url, "keys") == ["CI-bot", "zeta"]


def test_names_are_read_when_nobody_has_the_database_open(sqlite: Database) -> None:
    sqlite.close()
    assert names.complete(sqlite.url, "keys") == ["CI-bot", "zeta"]


def test_without_a_usable_database_there_are_no_names(tmp_path: Path) -> None:
    (tmp_path / "garbage.db").write_bytes(b"not a database" * 100)
    assert names.complete(f"sqlite:///{tmp_path / 'absent.db'}", "keys") == []
    assert names.complete(f"sqlite:///{tmp_path / 'garbage.db'}", "keys") == []
    assert names.complete("postgresql://localhost/gateway", "keys") == []
    assert not (tmp_path / "absent.db").exists()


def test_completion_does_not_load_sqlalchemy() -> None:
    program = (
        "import sys, keyvault.storage.names; print(sorted(m for m in sys.modules if m.split('.')[0] == 'sqlalchemy'))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"
