"""The write-ahead log is moved into the database file beside whoever writes."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from keyvault.metering.ledger import Ledger
from keyvault.storage import checkpoints as module
from keyvault.storage.checkpoints import ENTRIES, Checkpoints
from keyvault.storage.engine import Database
from keyvault.storage.schema import aliases
from tests.conftest import FrozenClock
from tests.ledgers import attempt, book


def names(database: Database) -> list[str]:
    with database.read() as tx:
        return list(tx.execute(sa.select(aliases.c.name)).scalars())


def test_what_the_log_holds_is_in_the_file_without_a_commit_that_moves_it(database: Database, tmp_path: Path) -> None:
    with database.write() as tx:
        tx.execute(sa.insert(aliases).values(id=1, name="gpt-5"))
    checkpoints = Checkpoints(database)
    checkpoints.start()
    checkpoints.stop()
    if database.path is not None:
        alone = shutil.copy(database.path, tmp_path / "alone.db")
        database = Database(f"sqlite:///{alone}")
    assert names(database) == ["gpt-5"]
    database.close()


def test_what_was_never_started_stops(database: Database) -> None:
    Checkpoints(database).stop()


async def test_the_log_is_moved_as_soon_as_the_ledger_has_written_much(
    database: Database, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY_SECONDS", 3600)
    ledger = Ledger(database, clock, "w1")
    ledger.start(asyncio.get_running_loop())
    try:
        for number in range(ENTRIES):
            await book(ledger, attempt(clock.now_ms(), entropy=number))
        if database.path is not None:
            async with asyncio.timeout(10):
                while not attempts_in_file(database.path):  # noqa: ASYNC110 - a file
                    await asyncio.sleep(0.01)
    finally:
        await asyncio.to_thread(ledger.stop)


def attempts_in_file(path: Path) -> int:
    """How many there are without the log."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as alone:
        try:
            return int(alone.execute("SELECT count(*) FROM attempts").fetchone()[0])
        except sqlite3.DatabaseError:  # half of it is written at this moment
            return 0
