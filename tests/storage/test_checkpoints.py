"""The write-ahead log is moved into the database file beside whoever writes."""

from __future__ import annotations

import shutil
from pathlib import Path

import sqlalchemy as sa

from keyvault.storage.checkpoints import Checkpoints
from keyvault.storage.engine import Database
from keyvault.storage.schema import aliases


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
