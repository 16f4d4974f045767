"""Key files: each way in which somebody else could have read or placed one is refused, exactly and without hanging."""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyvault.errors import Conflict, Locked, UsageError
from keyvault.vault.keyfile import decode_key, encode_key, read_secret_file, write_secret_file

KEY = bytes(range(1, 33))


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "unlock.key"
    write_secret_file(path, encode_key(KEY))
    return path


def test_a_written_key_file_is_private_and_reads_back(key_file: Path) -> None:
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert decode_key(read_secret_file(key_file) or b"", "key file") == KEY


def test_no_file_is_not_an_error(tmp_path: Path) -> None:
    assert read_secret_file(tmp_path / "none") is None


def test_an_existing_file_is_never_overwritten(key_file: Path) -> None:
    before = key_file.read_bytes()
    with pytest.raises(Conflict, match="exists already"):
        write_secret_file(key_file, b"other")
    assert key_file.read_bytes() == before


def test_a_link_in_the_way_is_not_followed_when_writing(tmp_path: Path) -> None:
    target = tmp_path / "target"
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(Conflict):
        write_secret_file(tmp_path / "link", b"secret")
    assert not target.exists()


def test_a_missing_directory_is_a_plain_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such directory"):
        write_secret_file(tmp_path / "none" / "unlock.key", b"")


def _link(path: Path) -> Path:
    link = path.with_name("link")
    link.symlink_to(path)
    return link


def _dangling(path: Path) -> Path:
    link = path.with_name("dangling")
    link.symlink_to(path.with_name("nothing"))
    return link


def _fifo(path: Path) -> Path:
    os.mkfifo(path.with_name("fifo"), 0o600)
    return path.with_name("fifo")


def _socket(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path.with_name("socket")))
    return path.with_name("socket")


def _hard_link(path: Path) -> Path:
    path.with_name("second").hardlink_to(path)
    return path


def _chmod(mode: int) -> Callable[[Path], Path]:
    def change(path: Path) -> Path:
        path.chmod(mode)
        return path

    return change


def _large(path: Path) -> Path:
    path.write_bytes(bytes(5 * 1024))
    return path


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (_link, "a symbolic link"),
        (_dangling, "a symbolic link"),
        (_fifo, "not a regular file"),
        (_socket, "not a regular file"),
        (lambda path: path.parent, "not a regular file"),
        (lambda path: Path("/dev/zero"), "not a regular file"),
        (_chmod(0o644), "others may read or write it .mode 0644."),
        (_chmod(0o640), "others may read or write it"),
        (_chmod(0o602), "others may read or write it"),
        (_hard_link, "it has 2 links"),
        (_large, "longer than 4096 bytes"),
    ],
    ids=[
        "link",
        "dangling link",
        "fifo",
        "socket",
        "directory",
        "/dev/zero",
        "0644",
        "0640",
        "0602",
        "hard link",
        "5 KiB",
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused(key_file: Path, prepare: Callable[[Path], Path], reason: str) -> None:
    with pytest.raises(Locked, match=reason):
        read_secret_file(prepare(key_file))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(key_file: Path) -> None:
    os.chown(key_file, 65534, 65534)
    with pytest.raises(Locked, match="owned by another user"):
        read_secret_file(key_file)
    with pytest.raises(Locked, match="owned by another user"):
        read_secret_file(key_file, managed=True)


def test_a_managed_file_may_be_a_readable_link_but_not_writable(key_file: Path) -> None:
    key_file.chmod(0o444)
    assert read_secret_file(_link(key_file), managed=True) == encode_key(KEY)
    key_file.chmod(0o664)
    with pytest.raises(Locked, match="others may write it"):
        read_secret_file(key_file, managed=True)
    with pytest.raises(Locked):
        read_secret_file(_dangling(key_file), managed=True)


@pytest.mark.parametrize(
    "content",
    [
        KEY,
        KEY + b"\n",
        KEY.hex().encode(),
        b" " + KEY.hex().upper().encode() + b"\r\n",
        base64.b64encode(KEY) + b"\n",
        base64.urlsafe_b64encode(b"\xff" * 32).rstrip(b"="),
    ],
    ids=["raw", "raw and newline", "hex", "HEX", "base64", "base64url"],
)
def test_each_form_of_a_key_is_understood(content: bytes) -> None:
    assert decode_key(content, "key file") in (KEY, b"\xff" * 32)


@given(st.binary(min_size=32, max_size=32))
def test_a_raw_key_is_taken_as_it_is_whatever_its_bytes(key: bytes) -> None:
    assert decode_key(key, "key file") == key
    assert decode_key(key + b"\n", "key file") == key
    assert decode_key(encode_key(key), "key file") == key


@pytest.mark.parametrize("length", [0, 1, 31, 34, 63, 65, 4096])
def test_any_other_length_is_refused_without_showing_the_content(length: int) -> None:
    with pytest.raises(Locked, match=f"key file /k: expected 32 bytes, found {length}") as caught:
        decode_key(b"q" * length, "key file /k")
    assert "qqq" not in str(caught.value)
