"""A database of the first schema, with a row in every table, loses nothing on its way to the newest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from keyvault.errors import ConfigurationError, FormatTooNew
from keyvault.storage import migrations
from keyvault.storage.engine import Database
from keyvault.storage.schema import credentials, gateway, metadata

FIRST = "0001"
MOVED = {("upstreams", "record_id")}
"""Columns that went elsewhere."""


@pytest.fixture(params=["sqlite", "postgresql"])
def old(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Database]:
    """A database as the first version left it, with one row in every table."""
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
    database = Database(url)
    migrations.upgrade(database, FIRST)
    with database.write() as tx:
        for table in tables(tx):
            if not tx.execute(sa.select(table)).first():
                tx.execute(sa.insert(table).values(example(table)))
    yield database
    database.close()


def tables(tx: sa.Connection) -> list[sa.Table]:
    """Every table there is, but for Alembic's own, in an order that references allow."""
    found = sa.MetaData()
    found.reflect(tx)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def example(table: sa.Table) -> dict[str, object]:
    """A row whose values can be told apart; ids and references are 1."""
    return {column.name: value(column, number) for number, column in enumerate(table.columns, start=2)}


def value(column: sa.Column[Any], number: int) -> object:
    if column.foreign_keys or (column.name == "id" and not isinstance(column.type, sa.Text)):
        return 1
    if isinstance(column.type, sa.Integer):
        return number
    if isinstance(column.type, sa.LargeBinary):
        return f"{column.table.name}.{column.name}".encode()
    return f"{column.table.name}.{column.name}"


def content(database: Database) -> dict[str, list[dict[str, Any]]]:
    with database.read() as tx:
        return {table.name: [dict(row) for row in tx.execute(sa.select(table)).mappings()] for table in tables(tx)}


def test_everything_that_was_there_is_there_afterwards(old: Database) -> None:
    before = content(old)
    assert all(len(rows) == 1 for rows in before.values())
    migrations.migrate(old)
    after = content(old)
    for name, [row] in before.items():
        [found] = after[name]
        kept = {column: value for column, value in row.items() if (name, column) not in MOVED}
        assert {column: found[column] for column in kept} == kept
    assert migrations.revision(old) == migrations.HEAD


def test_each_upstream_s_secret_becomes_its_current_credential(old: Database) -> None:
    migrations.migrate(old)
    with old.read() as tx:
        [moved] = tx.execute(sa.select(credentials)).mappings()
        assert (moved["upstream_id"], moved["record_id"], moved["state"]) == (1, "upstreams.record_id", "current")
        assert tx.execute(sa.select(gateway.c.suspended)).scalar_one() == 0
    with old.write() as tx:  # the numbering goes on behind what was moved
        second = {**moved, "record_id": "another", "label": "second"}
        del second["id"]
        assert tx.execute(sa.insert(credentials).values(second).returning(credentials.c.id)).scalar_one() == 2


def test_the_migrated_schema_is_the_one_of_the_code(old: Database) -> None:
    migrations.migrate(old)
    with old.read() as tx:
        found = {table.name: set(table.columns.keys()) for table in tables(tx)}
    assert found == {table.name: set(table.columns.keys()) for table in metadata.sorted_tables}


def test_starting_upgrades_sqlite_and_asks_for_it_on_postgresql(old: Database) -> None:
    if old.is_sqlite:
        migrations.ensure(old)
        assert migrations.revision(old) == migrations.HEAD
        assert old.path is not None
        copy = old.path.with_suffix(f".schema-{FIRST}.bak")
        assert copy.stat().st_mode & 0o777 == 0o600
        aside = Database(f"sqlite:///{copy}")
        assert migrations.revision(aside) == FIRST
        aside.close()
    else:
        with pytest.raises(ConfigurationError) as caught:
            migrations.ensure(old)
        assert caught.value.hint == "gwctl db migrate"
        assert migrations.revision(old) == FIRST


def test_a_rehearsal_changes_nothing(old: Database) -> None:
    before, old.rehearsal = content(old), True
    migrations.migrate(old)
    assert (content(old), migrations.revision(old)) == (before, FIRST)


def test_a_newer_database_is_refused_in_plain_words(old: Database) -> None:
    with old.write() as tx:
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    for step in (migrations.ensure, migrations.migrate):
        with pytest.raises(FormatTooNew, match="newer version"):
            step(old)
