"""The keyring slot against a real Secret Service: gnome-keyring on a private D-Bus session, with a private home."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyvault.clock import Clock
from keyvault.domain.vault import Compartment, SlotKind
from keyvault.errors import Locked, WrongKey
from keyvault.secrets import Secret
from keyvault.settings import Paths
from keyvault.storage import migrations
from keyvault.storage.engine import Database
from keyvault.vault.os_keyring import Absent, OsKeyring
from keyvault.vault.slot_changes import Slots
from keyvault.vault.vault import Vault
from tests.real.secret_service import SecretService, needs_keyring, secret_service

pytestmark = needs_keyring
SECRET = bytes(range(32))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SecretService]:
    with secret_service(tmp_path) as running:
        yield running


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'gateway.db'}")
    migrations.upgrade(database)
    yield database
    database.close()


def _vault(database: Database, service: SecretService, tmp_path: Path, **changes: str) -> Vault:
    paths = Paths.find({"GWCTL_HOME": str(tmp_path / "home")})
    return Vault(database, Clock(), paths, {**service.environ, **changes})


def _slots(database: Database, service: SecretService, tmp_path: Path) -> Slots:
    paths = Paths.find({"GWCTL_HOME": str(tmp_path / "home")})
    return Slots(database, Clock(), paths, _vault(database, service, tmp_path), OsKeyring(service.environ))


def test_a_secret_is_kept_found_and_removed(service: SecretService) -> None:
    keyring = OsKeyring(service.environ)
    assert keyring.store("account", SECRET) == "secret-service"
    assert keyring.fetch("secret-service", "account") == SECRET
    assert keyring.fetch("secret-service", "another") == Absent("no such item")
    assert keyring.remove("secret-service", "account")
    assert keyring.fetch("secret-service", "account") == Absent("no such item")


def test_a_vault_opens_by_its_keyring_slot_alone(service: SecretService, database: Database, tmp_path: Path) -> None:
    made = _vault(database, service, tmp_path).initialise(SlotKind.KEYRING)
    assert [(slot.id, slot.detail) for slot in made.slots] == [("keyring-1", "secret-service keyring")]
    opened = _vault(database, service, tmp_path).unlock(Compartment.UPSTREAM)
    assert opened.source == "OS keyring (secret-service)"
    assert list((tmp_path / "home" / "config").iterdir()) == []


def test_deleting_the_slot_removes_the_item(service: SecretService, database: Database, tmp_path: Path) -> None:
    vault = _vault(database, service, tmp_path)
    made = vault.initialise(SlotKind.KEYRING)
    _slots(database, service, tmp_path).create(SlotKind.FILE)
    assert _slots(database, service, tmp_path).delete("keyring-1").secret_removed
    account = f"{made.vault_id}/keyring-1"
    assert OsKeyring(service.environ).fetch("secret-service", account) == Absent("no such item")


def test_a_planted_item_opens_nothing(service: SecretService, database: Database, tmp_path: Path) -> None:
    made = _vault(database, service, tmp_path).initialise(SlotKind.KEYRING)
    OsKeyring(service.environ).store(f"{made.vault_id}/keyring-1", bytes(32))
    with pytest.raises(WrongKey, match=r"OS keyring .secret-service.: it opens no slot"):
        _vault(database, service, tmp_path).unlock()


def test_a_stopped_keyring_is_an_error_at_the_limit_and_not_a_hang(
    service: SecretService, database: Database, tmp_path: Path
) -> None:
    _vault(database, service, tmp_path).initialise(SlotKind.KEYRING)
    os.kill(service.keyring_pid, signal.SIGSTOP)
    with pytest.raises(Locked, match="OS keyring: no answer within 4 seconds") as caught:
        _vault(database, service, tmp_path).unlock()
    assert "GWCTL_PASSPHRASE_FD" in (caught.value.hint or "")


def test_without_a_session_bus_the_next_source_is_asked(
    service: SecretService, database: Database, tmp_path: Path
) -> None:
    vault = _vault(database, service, tmp_path)
    vault.initialise(SlotKind.KEYRING)
    _slots(database, service, tmp_path).create(SlotKind.PASSPHRASE, passphrase=Secret("correct horse battery staple"))
    under_cron = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent"}
    with pytest.raises(Locked, match=r"the vault is locked .*OS keyring"):
        _vault(database, service, tmp_path, **under_cron).unlock()
    read_end, write_end = os.pipe()
    os.write(write_end, b"correct horse battery staple\n")
    os.close(write_end)
    opened = _vault(database, service, tmp_path, **under_cron, GWCTL_PASSPHRASE_FD=str(read_end)).unlock()
    os.close(read_end)
    assert opened.source == "GWCTL_PASSPHRASE_FD"


def test_the_secret_is_on_no_command_line(service: SecretService, tmp_path: Path) -> None:
    """What the helper is started with shows neither the secret nor the account."""
    spy = tmp_path / "spy.py"
    spy.write_text("import json, sys\njson.load(sys.stdin)\nprint(json.dumps({'absent': ' '.join(sys.argv)}))\n")
    found = OsKeyring(service.environ, helper=spy).fetch("secret-service", SECRET.hex())
    assert found == Absent(str(spy))
