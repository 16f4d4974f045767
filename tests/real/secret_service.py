"""A real Secret Service for tests: gnome-keyring on a private D-Bus session, with a private home."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

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
def secret_service(home: Path) -> Iterator[SecretService]:
    """A session bus and an unlocked gnome-keyring, both gone at the end."""
    home.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        # A socket's path has room for 107 bytes, which a test's own directory may have used up.
        runtime = stack.enter_context(tempfile.TemporaryDirectory(prefix="bus-"))
        environ = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_RUNTIME_DIR": runtime, "LANG": "C.UTF-8"}
        bus = subprocess.Popen(
            [
                "dbus-daemon",
                "--session",
                "--nofork",
                "--nopidfile",
                "--print-address=1",
                f"--address=unix:dir={runtime}",
            ],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        stack.callback(_end, bus)
        assert bus.stdout is not None
        environ["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().strip()
        daemon = subprocess.Popen(
            ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(_end, daemon)
        assert daemon.stdin is not None
        daemon.stdin.write(b"password of the keyring")
        daemon.stdin.close()
        _wait_for_service(environ)
        yield SecretService(environ, daemon.pid)


def _end(process: subprocess.Popen[Any]) -> None:
    process.send_signal(signal.SIGCONT)
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _wait_for_service(environ: dict[str, str]) -> None:
    deadline = time.monotonic() + 10
    keyring = OsKeyring(environ)
    while isinstance(found := keyring.fetch("secret-service", "nobody"), Absent) and found.why != "no such item":
        assert time.monotonic() < deadline, found.why
