"""6. Wrong unlock secret; planted keyring item; null or plaintext backend → wrong_key; refused."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyvault.domain.vault import SlotKind
from keyvault.errors import Exit
from keyvault.home import Home
from keyvault.vault.os_keyring import OsKeyring
from tests.attacks.conftest import write
from tests.cli.conftest import Gwctl
from tests.real.secret_service import SecretService, needs_keyring, secret_service

NOT_KEYRINGS = ("keyring.backends.null.Keyring", "keyring.backends.fail.Keyring", "keyrings.alt.file.PlaintextKeyring")


def by_descriptor(gwctl: Gwctl, variable: str, content: bytes) -> tuple[int, str]:
    read_end, write_end = os.pipe()
    os.write(write_end, content)
    os.close(write_end)
    ran = gwctl("vault", "unlock", environ={variable: str(read_end)})
    os.close(read_end)
    return ran.code, ran.err


def test_another_key_opens_nothing(gwctl: Gwctl, tmp_path: Path) -> None:
    other = tmp_path / "other.key"
    gwctl("vault", "slots", "create", "passphrase", "--secret-stdin", stdin="correct horse battery staple")
    other.touch(0o600)
    other.write_text("00" * 32)
    refused = gwctl("vault", "unlock", environ={"GWCTL_KEY_FILE": str(other)})
    assert (refused.code, "it opens no slot of this vault" in refused.err) == (Exit.LOCKED, True)
    code, err = by_descriptor(gwctl, "GWCTL_UNLOCK_FD", b"\x01" * 32)
    assert (code, "GWCTL_UNLOCK_FD: it opens no slot" in err) == (Exit.LOCKED, True)
    (gwctl.home / "config" / "unlock.key").unlink()
    code, err = by_descriptor(gwctl, "GWCTL_PASSPHRASE_FD", b"wrong horse battery staple")
    assert (code, "GWCTL_PASSPHRASE_FD: it opens no slot" in err) == (Exit.LOCKED, True)


def test_a_key_of_another_vault_opens_nothing(gwctl: Gwctl, tmp_path: Path) -> None:
    other = Home({"GWCTL_HOME": str(tmp_path / "other")})
    other.initialise(SlotKind.FILE)
    other.close()
    shutil.copy(other.paths.key_file, gwctl.home / "config" / "unlock.key")
    assert gwctl("vault", "unlock").code == Exit.LOCKED


@pytest.mark.parametrize("backend", NOT_KEYRINGS)
def test_a_keyring_that_forgets_or_writes_plain_text_is_never_used(gwctl: Gwctl, tmp_path: Path, backend: str) -> None:
    """Neither by the variable nor by the configuration file that the keyring library follows."""
    config = tmp_path / "config" / "python_keyring"
    config.mkdir(parents=True)
    (config / "keyringrc.cfg").write_text(f"[backend]\ndefault-keyring={backend}\n")
    environ = {"PYTHON_KEYRING_BACKEND": backend, "XDG_CONFIG_HOME": str(tmp_path / "config"), "HOME": str(tmp_path)}
    refused = gwctl("vault", "slots", "create", "keyring", environ=environ)
    assert refused.code == Exit.UNAVAILABLE
    assert "no keyring can be used here" in refused.err
    assert gwctl("vault", "slots", "list", "-o", "name").out == "file-1\n"


@needs_keyring
class TestWithARealKeyring:
    @pytest.fixture
    def service(self, tmp_path: Path) -> Iterator[SecretService]:
        with secret_service(tmp_path / "session") as running:
            yield running

    @pytest.fixture
    def by_keyring(self, nowhere: Gwctl, service: SecretService) -> Gwctl:
        """A vault that only the keyring opens."""
        nowhere.environ.update(service.environ)
        assert nowhere("init", "--yes", "--unlock", "keyring").code == 0
        assert nowhere("vault", "unlock").code == 0
        return nowhere

    def test_a_planted_item_opens_nothing(self, by_keyring: Gwctl, service: SecretService) -> None:
        vault_id = by_keyring("vault", "status", "--json").json["vault_id"]
        OsKeyring(service.environ).store(f"{vault_id}/keyring-1", bytes(32))
        refused = by_keyring("vault", "unlock")
        assert refused.code == Exit.LOCKED
        assert "OS keyring (secret-service): it opens no slot of this vault" in refused.err

    def test_a_slot_turned_to_another_backend_is_refused(self, by_keyring: Gwctl) -> None:
        write(by_keyring.home, "UPDATE vault_slots SET params = replace(params, 'secret-service', 'null')")
        refused = by_keyring("vault", "unlock")
        assert refused.code == Exit.LOCKED
        assert "not on the list of trusted ones" in refused.err
