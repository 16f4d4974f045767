"""Keys with the real vault: what one process mints, another admits; a locked vault still lets access be taken away."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from keyvault.domain.keys import KeyState
from keyvault.domain.vault import Compartment, SlotKind, SlotScope
from keyvault.errors import Locked, WrongKey
from keyvault.keys.customers import Customers
from keyvault.keys.directory import Directory
from keyvault.keys.lifecycle import Keys
from keyvault.settings import Paths
from keyvault.storage.engine import Database
from keyvault.vault.os_keyring import OsKeyring
from keyvault.vault.slot_changes import Slots
from keyvault.vault.vault import Vault
from tests.conftest import FrozenClock


@pytest.fixture
def paths(tmp_path: Path, database: Database, clock: FrozenClock) -> Paths:
    """A home with a vault that its key file opens."""
    paths = Paths(tmp_path / "config", tmp_path / "data", tmp_path / "state", one_roof=True)
    paths.make()
    Vault(database, clock, paths, {}).initialise(SlotKind.FILE)
    Customers(database, clock).ensure_default()
    return paths


def test_a_key_minted_by_one_process_is_admitted_by_another(
    database: Database, clock: FrozenClock, paths: Paths
) -> None:
    secret = Keys(database, Vault(database, clock, paths, {}), clock).create("ci-bot").secret
    elsewhere = Vault(database, clock, paths, {}).unlock(Compartment.KEYS)
    directory = Directory(database, elsewhere.peppers)
    directory.load()
    caller = directory.authenticate(secret.reveal().encode(), clock.now_ms())
    assert caller is not None
    assert caller.key_name == "ci-bot"


def test_without_the_key_file_nothing_is_minted_but_a_key_can_be_revoked(
    database: Database, clock: FrozenClock, paths: Paths
) -> None:
    Keys(database, Vault(database, clock, paths, {}), clock).create("ci-bot")
    paths.key_file.unlink()
    locked = Keys(database, Vault(database, clock, paths, {}), clock)
    with pytest.raises((Locked, WrongKey)):
        locked.rotate("ci-bot", timedelta(days=1))
    assert len(locked.get("ci-bot").generations) == 1
    assert locked.revoke("ci-bot").state is KeyState.REVOKED


def test_the_cron_job_that_rotates_keys_cannot_open_the_upstream_compartment(
    database: Database, clock: FrozenClock, paths: Paths, tmp_path: Path
) -> None:
    owner = Vault(database, clock, paths, {})
    Keys(database, owner, clock).create("ci-bot")
    cron_paths = Paths(tmp_path / "cron", tmp_path / "data", tmp_path / "state", one_roof=False)
    cron_paths.make()
    Slots(database, clock, paths, owner, OsKeyring({})).create(
        SlotKind.FILE, scope=SlotScope.KEYS, key_file=cron_paths.key_file
    )
    cron = Vault(database, clock, cron_paths, {})
    assert Keys(database, cron, clock).rotate("ci-bot", timedelta(days=1)).changed
    with pytest.raises(Locked):
        cron.unlock(Compartment.UPSTREAM)
