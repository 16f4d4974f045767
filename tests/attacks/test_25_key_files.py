"""25. Key file: symlink, fifo, directory, /dev/zero, 0644, hard link, other owner, 31 bytes, 5 KiB → precise refusal,
no hang."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from keyvault.errors import Exit
from tests.cli.conftest import Gwctl


def _replaced_by(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def prepare(path: Path) -> None:
        path.rename(path.with_suffix(".real"))
        make(path)

    return prepare


def _written(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


PREPARED: dict[str, tuple[Callable[[Path], object], str]] = {
    "symlink": (_replaced_by(lambda path: path.symlink_to(path.with_suffix(".real"))), "a symbolic link"),
    "fifo": (_replaced_by(lambda path: os.mkfifo(path, 0o600)), "not a regular file"),
    "directory": (_replaced_by(Path.mkdir), "not a regular file"),
    "device": (_replaced_by(lambda path: path.symlink_to("/dev/zero")), "a symbolic link"),
    "0644": (lambda path: path.chmod(0o644), "others may read or write it (mode 0644)"),
    "hard link": (lambda path: path.with_suffix(".second").hardlink_to(path), "it has 2 links"),
    "31 bytes": (_written(b"x" * 31), "expected 32 bytes, found 31"),
    "5 KiB": (_written(bytes(5 * 1024)), "longer than 4096 bytes"),
    "empty": (_written(b""), "expected 32 bytes, found 0"),
}


@pytest.mark.parametrize("how", PREPARED)
def test_a_key_file_that_cannot_be_trusted_is_refused_by_name(gwctl: Gwctl, how: str) -> None:
    path = gwctl.home / "config" / "unlock.key"
    prepare, reason = PREPARED[how]
    prepare(path)
    refused = gwctl("keys", "create", "bot", "--json")
    assert refused.code == Exit.LOCKED
    assert f"key file {path}: {reason}" in refused.err


def test_an_endless_device_is_not_read(gwctl: Gwctl) -> None:
    refused = gwctl("vault", "unlock", environ={"GWCTL_KEY_FILE": "/dev/zero"})
    assert refused.code == Exit.LOCKED
    assert "key file /dev/zero: not a regular file" in refused.err


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_owner_is_refused(gwctl: Gwctl) -> None:
    path = gwctl.home / "config" / "unlock.key"
    os.chown(path, 12345, -1)
    refused = gwctl("vault", "unlock")
    assert refused.code == Exit.LOCKED
    assert "owned by another user (uid 12345)" in refused.err
