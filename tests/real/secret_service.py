"""A real Secret Service for tests: gnome-keyring on a private D-Bus session, with a private home."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from keyvault.vault.os_keyring import Absent, OsKeyring

MISSING: Final = [name for name in ("dbus-daemon", "gnome-keyring-daemon") if shutil.which(name) is None]
needs_keyring: Final = pytest.mark.skipif(
    bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (apt-get install gnome-keyring dbus)"
)


@dataclass
class SecretService:
    environ: dict[str, str]
    keyring_pid: int


@contextlib.contextmanager
def secret_service(tmp_path: Path) -> Iterator[SecretService]:
    """A session bus and an unlocked gnome-keyring, both gone at the end."""
    tmp_path.mkdir(exist_ok=True)
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(runtime), "LANG": "C.UTF-8"}
    bus = subprocess.Popen(
        ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1", f"--address=unix:dir={runtime}"],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert bus.stdout is not None
    environ["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().strip()
    daemon = subprocess.Popen(
        ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert daemon.stdin is not None
    daemon.stdin.write(b"password of the keyring")
    daemon.stdin.close()
    _wait_for_service(environ)
    yield SecretService(environ, daemon.pid)
    for process in (daemon, bus):
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()
    bus.stdout.close()


def _wait_for_service(environ: dict[str, str]) -> None:
    deadline = time.monotonic() + 10
    keyring = OsKeyring(environ)
    while isinstance(found := keyring.fetch("secret-service", "nobody"), Absent) and found.why != "no such item":
        assert time.monotonic() < deadline, found.why
