"""A backup from before rows were sealed: it is migrated on the way in, and somebody must vouch for its rows."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from keyvault.backup import archive
from keyvault.backup.making import make
from keyvault.domain.vault import SlotKind
from keyvault.errors import Exit
from keyvault.home import Home
from keyvault.secrets import Secret
from keyvault.storage import migrations
from keyvault.storage.engine import Database
from keyvault.storage.schema import credentials, metadata
from tests.cli.conftest import ANY_PORT, Gwctl
from tests.few_prices import keep_few

FIRST = "0001"


def in_first_schema(home: Home, path: Path) -> None:
    """The rows of a home as the first version had them: without seals, and with an upstream's secret in its own row."""
    old = Database(f"sqlite:///{path}")
    migrations.upgrade(old, FIRST)
    with home.database.read() as now, old.write() as tx:
        found = sa.MetaData()
        found.reflect(tx)
        of_upstream = {row.upstream_id: row.record_id for row in now.execute(sa.select(credentials))}
        for table in found.sorted_tables:
            if table.name not in metadata.tables or table.name == "alembic_version":
                continue
            tx.execute(sa.delete(table))
            for row in now.execute(sa.select(metadata.tables[table.name])).mappings():
                values = {name: row[name] for name in table.columns.keys() & row.keys()}
                if table.name == "upstreams":
                    values["record_id"] = of_upstream[row["id"]]
                tx.execute(sa.insert(table).values(values))
        tx.exec_driver_sql("DELETE FROM meta WHERE name = 'manifest'")
    old.close()


@pytest.fixture
def fresh(tmp_path: Path) -> Gwctl:
    """An empty home that has the key of the old one."""
    gwctl = Gwctl(tmp_path / "fresh")
    (gwctl.home / "config").mkdir(parents=True, mode=0o700)
    return gwctl


@pytest.fixture
def backup(fresh: Gwctl, tmp_path: Path) -> Path:
    """A backup of schema 0001, of a gateway with an upstream and a key."""
    home = Home({"GWCTL_HOME": str(tmp_path / "old")}, fresh.clock)
    home.initialise(SlotKind.FILE)
    keep_few(home)
    home.upstreams.create("openai", "openai", secret=Secret("sk-canary-of-openai"))
    home.keys.create("ci-bot")
    manifest = make(home, tmp_path / "newer.tar").verified.manifest
    database, packed = tmp_path / "first.db", tmp_path / "b.tar"
    in_first_schema(home, database)
    old = replace(
        manifest,
        schema=FIRST,
        database_bytes=database.stat().st_size,
        database_sha256=archive.sha256(database),
    )
    with archive.private(packed) as file:
        archive.pack(file, packed.name, old, home.paths.config_file, database)
    shutil.copy(home.paths.key_file, fresh.home / "config" / "unlock.key")
    home.close()
    return packed


def test_it_comes_back_migrated_and_says_that_its_rows_are_not_sealed(fresh: Gwctl, backup: Path) -> None:
    ran = fresh("restore", str(backup), "--json")
    assert (ran.code, ran.json["records"]) == (0, 2)  # the pepper and the credential decrypt
    assert f"its rows are not sealed yet, for it has schema {FIRST}" in ran.err
    assert "gwctl vault reseal" in ran.err
    assert fresh("db", "status", "--json").json["schema"] == migrations.HEAD
    assert [key["name"] for key in fresh("keys", "list", "--json").json["keys"]] == ["ci-bot"]


def test_nothing_is_given_before_somebody_vouches_for_its_rows_and_everything_works_after(
    fresh: Gwctl, backup: Path
) -> None:
    vault_id = fresh("restore", str(backup), "--json").json["vault_id"]
    refused = fresh("keys", "create", "new", "--json")
    assert refused.code == Exit.FAILURE
    assert "gwctl vault reseal" in refused.err
    assert fresh("vault", "reseal", "--confirm", vault_id).code == 0
    assert fresh("keys", "create", "new", "--json").code == 0
    assert fresh("doctor", "--offline", environ=ANY_PORT).code == 0


def test_it_can_be_verified(fresh: Gwctl, backup: Path) -> None:
    ran = fresh("backup", "verify", str(backup), "--json")
    assert (ran.code, ran.json["schema"], ran.json["records"]) == (0, FIRST, 2)
    assert "not sealed yet" in ran.err


def test_what_was_denied_since_is_denied_again_and_stays_so_when_sealed(fresh: Gwctl, backup: Path) -> None:
    vault_id = fresh("restore", str(backup), "--json").json["vault_id"]
    assert fresh("vault", "reseal", "--confirm", vault_id).code == 0
    assert fresh("keys", "revoke", "ci-bot", "--yes").code == 0
    ran = fresh("restore", str(backup), "--confirm", backup.name, "--accept-rollback", "--json")
    assert ran.json["denied"] == ["key:ci-bot"]
    assert "not sealed yet" in ran.err
    assert fresh("vault", "reseal", "--confirm", vault_id).code == 0
    assert fresh("keys", "show", "ci-bot", "--json").json["state"] == "revoked"
