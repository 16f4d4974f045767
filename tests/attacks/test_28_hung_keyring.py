"""28. Hung keyring under cron → error within 5 s that names the alternatives."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyvault.errors import Exit
from keyvault.vault.os_keyring import LIMIT_SECONDS
from tests.cli.conftest import Gwctl
from tests.real.secret_service import SecretService, needs_keyring, secret_service

pytestmark = needs_keyring


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SecretService]:
    with secret_service(tmp_path / "session") as running:
        yield running


def test_a_stopped_keyring_ends_in_an_error_that_says_what_else_there_is(gwctl: Gwctl, service: SecretService) -> None:
    gwctl.environ.update(service.environ)
    assert gwctl("vault", "slots", "create", "keyring").code == 0
    (gwctl.home / "config" / "unlock.key").unlink()
    os.kill(service.keyring_pid, signal.SIGSTOP)
    refused = gwctl("keys", "create", "bot", "--json")
    assert refused.code == Exit.LOCKED
    assert "OS keyring: no answer within 4 seconds" in refused.err
    for alternative in ("key file", "GWCTL_PASSPHRASE_FD", "GWCTL_UNLOCK_COMMAND"):
        assert alternative in refused.err
    assert LIMIT_SECONDS < 5
