"""The change epoch as running proxies read it, on both databases."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy as sa

from keyvault.errors import Unavailable
from keyvault.keys.customers import Customers
from keyvault.storage import audit, epochs, migrations
from keyvault.storage.compiled import Prepared
from keyvault.storage.engine import Database
from keyvault.storage.epochs import EpochReader
from tests.conftest import FrozenClock


@pytest.fixture
def reader(database: Database) -> Iterator[EpochReader]:
    reader = epochs.reader(database)
    yield reader
    reader.close()


def bumped(database: Database) -> int:
    with database.write() as tx:
        return epochs.bump(tx, "keys")


def until_read(reader: EpochReader, keys: int) -> None:
    deadline = time.monotonic() + 20
    while reader.read()[0] != keys:
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture
def postgresql(postgresql_url: str) -> Iterator[Database]:
    database = Database(postgresql_url)
    migrations.upgrade(database)
    yield database
    database.close()


def test_a_change_is_seen(database: Database, reader: EpochReader) -> None:
    until_read(reader, bumped(database))


def test_a_change_is_notified_without_waiting_for_the_next_poll(postgresql: Database) -> None:
    reader = epochs.reader(postgresql, poll_seconds=3600)
    until_read(reader, bumped(postgresql))
    until_read(reader, bumped(postgresql))
    closing = threading.Thread(target=reader.close)
    closing.start()
    bumped(postgresql)  # wakes it
    closing.join()


def test_a_rehearsed_change_is_not_seen(database: Database, reader: EpochReader) -> None:
    before = reader.read()
    database.rehearsal = True
    bumped(database)
    database.rehearsal = False
    assert reader.read() == before


def test_a_reader_whose_connection_was_ended_finds_its_way_back(postgresql: Database, postgresql_url: str) -> None:
    reader = epochs.reader(postgresql)
    until_read(reader, bumped(postgresql))
    with psycopg.connect(postgresql_url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    postgresql.engine.dispose()
    until_read(reader, bumped(postgresql))
    reader.close()


def test_what_tells_the_newest_audit_entry_comes_with_the_epochs(database: Database, clock: FrozenClock) -> None:
    with database.read() as tx:
        seen, newest = epochs.with_newest_audited(tx)
        assert seen == epochs.current(tx)
    assert newest == (None, None)
    Customers(database, clock).create("acme")
    with database.read() as tx:
        found = epochs.with_newest_audited(tx)
        number, digest = audit.last(tx)
        assert found == (epochs.current(tx), (number, digest))


def test_a_prepared_statement_fails_as_any_other(database: Database) -> None:
    prepared = Prepared(sa.text("SELECT nothing FROM nowhere"))
    with pytest.raises((Unavailable, sa.exc.DBAPIError)), database.read() as tx:
        prepared.first(tx, {})
