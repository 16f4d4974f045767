"""`gwctl db`: which schema a database has, and bringing it to this program's."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyvault.errors import Exit
from keyvault.settings import Paths, Settings
from keyvault.storage import migrations
from keyvault.storage.engine import Database
from keyvault.storage.exclusive import serving_lock
from tests.cli.conftest import Gwctl


@pytest.fixture
def old(nowhere: Gwctl, postgresql_url: str) -> Gwctl:
    """A home on a PostgreSQL database that an earlier version made."""
    database = Database(postgresql_url)
    migrations.upgrade(database, "0001")
    database.close()
    config = nowhere.home / "config" / "config.toml"
    config.parent.mkdir(parents=True, mode=0o700)
    config.touch(mode=0o600)
    nowhere.environ["GWCTL_DATABASE_URL"] = postgresql_url
    return nowhere


def test_an_old_postgresql_is_refused_with_the_command_that_helps(old: Gwctl) -> None:
    ran = old("keys", "list")
    assert ran.code == Exit.USAGE
    assert "hint: gwctl db migrate" in ran.err
    assert old("db", "status", "--json").json["current"] is False


def test_migrating_it_is_one_command_and_can_be_rehearsed(old: Gwctl) -> None:
    ran = old("db", "migrate", "--dry-run")
    assert ran.code == 0, ran.err
    assert "nothing was changed" in ran.err
    assert old("db", "status", "--json").json["schema"] == "0001"
    done = old("db", "migrate", "--json").json
    assert (done["schema"], done["current"], done["kind"]) == (migrations.HEAD, True, "postgresql")
    assert old("keys", "list").code == 0
    assert "already" in old("db", "migrate").err


def test_while_a_gateway_serves_it_is_refused(old: Gwctl) -> None:
    paths = Paths.find(old.environ)
    with serving_lock(Settings.load(paths, old.environ), paths):
        ran = old("db", "migrate")
    assert ran.code == Exit.CONFLICT
    assert old("db", "status", "--json").json["schema"] == "0001"


def test_a_new_home_needs_no_migration_and_shows_no_password(gwctl: Gwctl) -> None:
    found = gwctl("db", "status", "--json").json
    assert (found["schema"], found["kind"], found["current"]) == (migrations.HEAD, "sqlite", True)
    assert found["database"] == f"sqlite:///{gwctl.home}/data/gateway.db"


def test_where_nothing_is_set_up_it_says_so(nowhere: Gwctl) -> None:
    assert nowhere("db", "status").code == Exit.NOT_FOUND
    assert nowhere("db", "migrate").code == Exit.NOT_FOUND


def test_a_database_that_is_gone_is_not_made_anew(gwctl: Gwctl) -> None:
    Path(gwctl.home / "data" / "gateway.db").unlink()
    ran = gwctl("db", "status")
    assert ran.code == Exit.NOT_FOUND
    assert "restore" in ran.err
