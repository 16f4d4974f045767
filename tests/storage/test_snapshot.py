"""The whole database goes into one SQLite file and comes back, from and to either kind, as of one moment."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from keyvault.errors import Damaged
from keyvault.keys.customers import Customers
from keyvault.storage import migrations, snapshot
from keyvault.storage.engine import Database
from keyvault.storage.schema import metadata
from tests.conftest import FrozenClock


def everything(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    with database.read() as tx:
        return {
            table.name: sorted((tuple(row) for row in tx.execute(sa.select(table))), key=repr)
            for table in metadata.sorted_tables
        }


@pytest.fixture
def filled(database: Database, clock: FrozenClock) -> Database:
    customers = Customers(database, clock)
    customers.ensure_default()
    customers.create("acme", multiplier=Decimal("1.15"), tags={"of": "Oslo"})
    customers.create_project("acme/web")
    return database


def test_a_saved_database_is_one_private_file_with_every_row(filled: Database, tmp_path: Path) -> None:
    saved = tmp_path / "saved.db"
    snapshot.save(filled, saved)
    assert saved.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob("saved.db-*"))
    snapshot.check(saved)
    copy = Database(f"sqlite:///{saved}")
    assert everything(copy) == everything(filled)
    assert migrations.revision(copy) == migrations.HEAD
    copy.close()


def test_an_existing_file_is_never_written_into(filled: Database, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    with pytest.raises(FileExistsError):
        snapshot.save(filled, tmp_path / "there")


def test_put_in_place_it_is_the_database_again_and_the_old_one_is_kept(
    filled: Database, clock: FrozenClock, tmp_path: Path
) -> None:
    saved, before = tmp_path / "saved.db", everything(filled)
    snapshot.save(filled, saved)
    Customers(filled, clock).create("later")
    after = everything(filled)
    filled.close()
    kept = snapshot.put_in_place(saved, filled.url, "aside-20261001T120000Z")
    assert kept is not None
    again = Database(filled.url)
    assert everything(again) == before
    assert _kept(again, kept) == after["customers"]
    Customers(again, clock).create("another")  # ids go on after those that came back
    again.close()


def _kept(database: Database, kept: str) -> list[tuple[object, ...]]:
    """The customers of the database that was put aside."""
    customers = metadata.tables["customers"]
    if database.is_sqlite:
        aside = Database(f"sqlite:///{kept}")
        found = everything(aside)["customers"]
        aside.close()
        return found
    with database.read() as tx:
        moved = tx.execution_options(schema_translate_map={None: kept.removeprefix("schema ")})
        return sorted((tuple(row) for row in moved.execute(sa.select(customers))), key=repr)


def test_the_log_of_the_old_file_is_never_read_into_the_new_one(clock: FrozenClock, tmp_path: Path) -> None:
    """A reader that is still there keeps the write-ahead log alive."""
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    old = Database(url)
    migrations.upgrade(old)
    snapshot.save(old, tmp_path / "saved.db")
    with old.read() as tx:
        tx.execute(sa.select(metadata.tables["customers"])).all()
        Customers(old, clock).create("only-in-the-log")
        assert Path(f"{tmp_path / 'gateway.db'}-wal").stat().st_size
        snapshot.put_in_place(tmp_path / "saved.db", url, "aside")
        again = Database(url)
        assert everything(again)["customers"] == []
        again.close()
    old.close()


def test_into_an_empty_place_nothing_is_put_aside(tmp_path: Path) -> None:
    source = Database(f"sqlite:///{tmp_path / 'source.db'}")
    migrations.upgrade(source)
    snapshot.save(source, tmp_path / "saved.db")
    source.close()
    assert snapshot.put_in_place(tmp_path / "saved.db", f"sqlite:///{tmp_path / 'new.db'}", "aside") is None
    assert (tmp_path / "new.db").stat().st_mode & 0o777 == 0o600


def test_a_damaged_file_is_said_to_be_damaged(filled: Database, tmp_path: Path) -> None:
    saved = tmp_path / "saved.db"
    snapshot.save(filled, saved)
    content = bytearray(saved.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4096] = bytes(4096)
    saved.write_bytes(content)
    with pytest.raises(Damaged):
        snapshot.check(saved)


def test_a_reference_to_nothing_is_damage_too(filled: Database, tmp_path: Path) -> None:
    saved = tmp_path / "saved.db"
    snapshot.save(filled, saved)
    with sqlite3.connect(saved) as connection:
        connection.execute("DELETE FROM customers")
    connection.close()
    with pytest.raises(Damaged):
        snapshot.check(saved)
