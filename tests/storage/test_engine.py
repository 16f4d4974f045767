"""The engine: transactions, modes, migrations, on both databases."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from keyvault import audit
from keyvault.clock import Clock
from keyvault.errors import ConfigurationError, FormatTooNew, Unavailable
from keyvault.storage import epochs, migrations
from keyvault.storage.engine import Database, sqlite_is_sound
from keyvault.storage.schema import metadata


def test_a_failed_write_leaves_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.write() as tx:
        epochs.bump(tx, "keys")
        _ = 1 // 0
    with database.read() as tx:
        assert epochs.current(tx) == (0, 0, 0, 0, 0)


def test_each_epoch_grows_alone(database: Database) -> None:
    with database.write() as tx:
        assert epochs.bump(tx, "routes") == 1
        assert epochs.bump(tx, "routes") == 2
    with database.read() as tx:
        assert epochs.current(tx) == (0, 0, 2, 0, 0)


def test_the_migrations_make_exactly_the_schema(database: Database) -> None:
    with database.read() as tx:
        context = MigrationContext.configure(tx, opts={"compare_type": True})
        differences = compare_metadata(context, metadata)
    assert not differences
    assert migrations.revision(database) == migrations.HEAD


def test_a_newer_schema_is_refused_in_plain_words(database: Database) -> None:
    with database.write() as tx:
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(FormatTooNew, match="newer version"):
        migrations.ensure(database)


def test_the_audit_chain_shows_an_edit(database: Database, clock: Clock) -> None:
    with database.write() as tx:
        for n in range(3):
            audit.record(tx, clock, "keys.create", f"key:k{n}", n=n)
    with database.write() as tx:
        assert audit.verify(tx) is None
        tx.exec_driver_sql("UPDATE audit SET scope = 'key:other' WHERE seq = 2")
        assert audit.verify(tx) == 2


def test_a_sqlite_database_is_private(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'g.db'}")
    migrations.ensure(database)
    assert stat.S_IMODE((tmp_path / "g.db").stat().st_mode) == 0o600
    database.close()


def test_one_waits_for_the_file_no_longer_than_was_said(tmp_path: Path) -> None:
    """Asked of SQLite, on a connection that has read and on one that has written."""
    database, usual = (
        Database(f"sqlite:///{tmp_path}/{n}.db", **more) for n, more in enumerate(({"busy_timeout_ms": 70}, {}))
    )
    with database.write() as tx:
        assert tx.exec_driver_sql("PRAGMA busy_timeout").scalar() == 70
    for each, waits in ((database, 70), (usual, 10_000)):
        with each.read() as tx:
            assert tx.exec_driver_sql("PRAGMA busy_timeout").scalar() == waits
        each.close()


def test_an_advisory_lock_is_held_by_one_and_ends_with_its_block(postgresql_url: str) -> None:
    one, other = Database(postgresql_url), Database(postgresql_url)
    with one.advisory_lock("serve") as held:
        assert held
        with other.advisory_lock("serve") as also, other.advisory_lock("another") as different:
            assert not also
            assert different
    with other.advisory_lock("serve") as held:
        assert held
    one.close()
    other.close()


def test_a_server_that_does_not_answer_is_unavailable_to_a_lock_too() -> None:
    database = Database("postgresql://gw@127.0.0.1:1/gw")
    with pytest.raises(Unavailable, match="database"), database.advisory_lock("serve"):
        pass


def test_a_pool_without_a_free_connection_is_unavailable(database: Database) -> None:
    database.close()
    database.engine = sa.create_engine(
        database.engine.url, poolclass=sa.pool.QueuePool, pool_size=1, max_overflow=0, pool_timeout=0.01
    )
    with database.read(), pytest.raises(Unavailable, match="all connections are busy"), database.read():
        pass


@pytest.mark.parametrize(
    ("version", "sound"),
    [
        ((3, 53, 4), True),
        ((3, 51, 3), True),
        ((3, 51, 2), False),
        ((3, 50, 7), True),
        ((3, 44, 6), True),
        ((3, 40, 1), False),
    ],
)
def test_which_sqlite_builds_are_sound(version: tuple[int, ...], sound: bool) -> None:
    assert sqlite_is_sound(version) is sound


def test_an_unknown_database_url_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Database("mysql://root:hunter2@host/db")
    assert "hunter2" not in str(caught.value)
