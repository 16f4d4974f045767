"""3. An old record or row put back → without its old version tampered, with it the manifest does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyvault.domain.vault import Compartment
from keyvault.errors import SealError, Tampered
from keyvault.secrets import Secret
from keyvault.storage.engine import Database
from tests.conftest import FrozenClock
from tests.sealed import Sealed, sealed_gateway


@pytest.fixture
def gateway(database: Database, clock: FrozenClock, tmp_path: Path) -> Sealed:
    made = sealed_gateway(database, clock, tmp_path)
    made.upstreams.create("openai", "openai", secret=Secret("sk-0123456789abcdef"))
    made.keys.create("ci-bot")
    return made


def resealed(gateway: Sealed) -> None:
    """Write the credential's record anew, as its next version."""
    (row,) = gateway.rows("SELECT * FROM sealed_records WHERE purpose = 'upstream-secret'")
    opened = gateway.vault.unlock(Compartment.UPSTREAM)
    with gateway.database.change() as tx:
        opened.seal(tx, row["id"], "upstream-secret", ("other",), b"{}", version=row["version"] + 1)


def test_an_old_record_with_the_new_version_does_not_open(gateway: Sealed) -> None:
    (old,) = gateway.rows("SELECT * FROM sealed_records WHERE purpose = 'upstream-secret'")
    resealed(gateway)
    gateway.sql("UPDATE sealed_records SET blob = :blob WHERE id = :id", blob=old["blob"], id=old["id"])
    opened = gateway.again().vault.trust()
    with gateway.database.read() as tx, pytest.raises(SealError):
        opened.open(tx, old["id"], ("other",))


def test_an_old_record_with_its_old_version_does_not_fit_the_manifest(gateway: Sealed) -> None:
    (old,) = gateway.rows("SELECT * FROM sealed_records WHERE purpose = 'upstream-secret'")
    resealed(gateway)
    gateway.put_back("sealed_records", old)
    with pytest.raises(Tampered, match="put back or removed"):
        gateway.again().vault.unlock()


def test_an_old_row_without_its_old_version_does_not_fit_its_seal(gateway: Sealed) -> None:
    (old,) = gateway.rows("SELECT * FROM keys WHERE name = 'ci-bot'")
    gateway.keys.revoke("ci-bot")
    gateway.sql(
        "UPDATE keys SET state = :state, seal = :seal WHERE id = :id", **{n: old[n] for n in ("state", "seal", "id")}
    )
    assert gateway.survey().unfit == ("key ci-bot was changed by something else than gwctl",)


def test_an_old_row_with_its_old_version_and_seal_does_not_fit_the_manifest(gateway: Sealed) -> None:
    (old,) = gateway.rows("SELECT * FROM keys WHERE name = 'ci-bot'")
    gateway.keys.revoke("ci-bot")
    gateway.put_back("keys", old)
    with pytest.raises(Tampered, match="put back or removed"):
        gateway.again().vault.unlock()
    with pytest.raises(Tampered):
        gateway.keys.create("another")
