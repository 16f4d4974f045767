"""The whole database in one SQLite file: taken as it stood at one moment, and put in place of another.

SQLite is copied with its own online backup, which never blocks a writer; PostgreSQL table by table within one
REPEATABLE READ snapshot. Put in place, the file becomes the database again, of either kind; what was there before is
moved aside and never deleted.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from keyvault.errors import Damaged
from keyvault.files import sync
from keyvault.storage import migrations
from keyvault.storage.engine import BUSY_TIMEOUT_MS, Database, Transaction, sqlite_module, sqlite_path
from keyvault.storage.schema import metadata

ROWS_AT_ONCE: Final = 1000
_VERSION_TABLE: Final = "alembic_version"


def save(database: Database, path: Path) -> None:
    """Write the database to a new, private SQLite file. Nothing that is going on meanwhile is stopped or half seen."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    if database.is_sqlite:
        _copy_file(database, path)
    else:
        _copy_rows_out(database, path)
    with _connect(path) as copy:
        copy.execute("PRAGMA journal_mode=DELETE")  # so that it is one file, complete in itself
    sync(path)


def check(path: Path) -> None:
    """Raises `Damaged` unless an SQLite file is whole."""
    with _connect(path) as connection:
        try:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
            orphans = connection.execute("PRAGMA foreign_key_check").fetchone()
        except sqlite_module().DatabaseError as error:
            raise Damaged(f"the database in the backup is damaged: {error}") from None
    if found != ["ok"] or orphans is not None:
        raise Damaged(f"the database in the backup is damaged: {' '.join(str(found[0]).split())}")


def put_in_place(path: Path, url: str, aside: str) -> str | None:
    """Make the SQLite file `path` the database at `url`. What was there is kept under a name that ends with `aside`;
    that name, None where nothing was there. Nobody may be using the database: see `storage.exclusive`."""
    if (present := sqlite_path(url)) is not None:
        return _replace_file(path, present, aside)
    database = Database(url)
    try:
        return _replace_tables(path, database, aside)
    finally:
        database.close()


def _copy_file(database: Database, path: Path) -> None:
    with contextlib.closing(database.connect(BUSY_TIMEOUT_MS)) as source, _connect(path) as target:
        source.backup(target)


def _copy_rows_out(database: Database, path: Path) -> None:
    target = Database(f"sqlite:///{path}")
    try:
        migrations.upgrade(target)
        with database.snapshot() as source, target.write() as tx:
            _copy_rows(source, tx)
    finally:
        target.close()


def _copy_rows(source: Transaction, target: Transaction) -> None:
    """Every row of every table, in an order that references allow; a fresh schema's own first rows give way."""
    for table in reversed(metadata.sorted_tables):
        target.execute(sa.delete(table))
    for table in metadata.sorted_tables:
        found = source.execution_options(stream_results=True).execute(sa.select(table))
        for rows in found.mappings().partitions(ROWS_AT_ONCE):
            target.execute(sa.insert(table), [dict(row) for row in rows])


def _replace_file(path: Path, present: Path, aside: str) -> str | None:
    """One rename, once the content lies beside; the write-ahead log of the present file goes first, for it would be
    read into the new one."""
    kept, fresh = present.with_name(f"{present.name}.{aside}"), present.with_name(f".{present.name}.new")
    there = present.exists()
    fresh.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    shutil.copyfile(path, fresh)
    sync(fresh)
    if there:
        _settle(present)
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{present}{suffix}").rename(f"{kept}{suffix}")
        os.link(present, kept)
    fresh.replace(present)
    sync(present.parent)
    return str(kept) if there else None


def _settle(present: Path) -> None:
    """Write the log of the present database into its file, so that the file put aside is complete in itself."""
    with _connect(present) as connection, contextlib.suppress(sqlite_module().DatabaseError):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # a damaged one is put aside with its log, as it is


def _replace_tables(path: Path, database: Database, aside: str) -> str | None:
    """All in one transaction: the tables that are there move into a schema of their own, new ones are filled."""
    kept = aside.replace("-", "_").lower()
    source = Database(f"sqlite:///{path}")
    try:
        with source.read() as rows, database.write() as tx:
            moved = _move_tables(tx, kept)
            migrations.apply(tx)
            _copy_rows(rows, tx)
            _continue_numbering(tx)
    finally:
        source.close()
    return f"schema {kept}" if moved else None


def _move_tables(tx: Transaction, schema: str) -> bool:
    quote = tx.dialect.identifier_preparer.quote
    ours = {*metadata.tables, _VERSION_TABLE}
    present = [name for name in sa.inspect(tx).get_table_names() if name in ours]
    if present:
        tx.execute(sa.schema.CreateSchema(schema))
    for name in present:
        tx.exec_driver_sql(f"ALTER TABLE {quote(name)} SET SCHEMA {quote(schema)}")
    return bool(present)


def _continue_numbering(tx: Transaction) -> None:
    """Have each table's next id follow the highest that was copied."""
    for table in metadata.sorted_tables:
        column = table.autoincrement_column
        if column is None:
            continue
        sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
        highest = sa.select(sa.func.coalesce(sa.func.max(column), 0) + 1).scalar_subquery()
        tx.execute(sa.select(sa.func.setval(sequence, highest, sa.false())))


def _connect(path: Path) -> contextlib.closing[Any]:
    """A raw connection, closed at the end of the block."""
    return contextlib.closing(sqlite_module().connect(str(path), isolation_level=None, timeout=BUSY_TIMEOUT_MS / 1000))
