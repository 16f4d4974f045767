"""Sources of the unlock secret: their order, and that one which is there but broken stops with its name."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keyvault.clock import from_ms
from keyvault.domain.vault import Slot, SlotKind, SlotScope
from keyvault.errors import GatewayError, Locked, Tampered, WrongKey
from keyvault.secrets import Secret
from keyvault.storage.vault import StoredSlot
from keyvault.vault.os_keyring import Absent, OsKeyring
from keyvault.vault.recovery import write_code
from keyvault.vault.slots import UnlockSecret
from keyvault.vault.unlock import CREDENTIAL_NAME, SOURCES, Prompt, Surroundings, findings, interpret

KEY = bytes(range(32))


def stored_slot(kind: SlotKind, params: str = "{}") -> StoredSlot:
    return StoredSlot(Slot(f"{kind.value}-1", kind, SlotScope.ALL, from_ms(0)), params, b"")


@pytest.fixture
def around(tmp_path: Path) -> Callable[..., Surroundings]:
    def make(*kinds: SlotKind, prompt: Prompt | None = None, **environ: str) -> Surroundings:
        slots = [stored_slot(kind) for kind in kinds]
        return Surroundings(environ, tmp_path / "unlock.key", slots, OsKeyring(environ), prompt)

    return make


def found(surroundings: Surroundings) -> UnlockSecret:
    for _, finding in findings(surroundings):
        if not isinstance(finding, Absent):
            return finding
    raise AssertionError("nothing found")


@contextmanager
def descriptor(content: bytes) -> Iterator[str]:
    """The number of a pipe that gives `content`."""
    read_end, write_end = os.pipe()
    os.write(write_end, content)
    os.close(write_end)
    try:
        yield str(read_end)
    finally:
        os.close(read_end)


def write_private(path: Path, content: bytes) -> Path:
    path.touch(0o600)
    path.write_bytes(content)
    return path


Around = Callable[..., Surroundings]


def test_the_order_is_the_documented_one() -> None:
    assert [source.name for source in SOURCES] == [
        "GWCTL_UNLOCK_FD", "CREDENTIALS_DIRECTORY", "key file", "GWCTL_UNLOCK_COMMAND", "OS keyring",
        "GWCTL_PASSPHRASE_FD", "prompt",
    ]  # fmt: skip


def test_nothing_at_all_is_absent_everywhere(around: Around) -> None:
    assert all(isinstance(finding, Absent) for _, finding in findings(around()))


def test_an_earlier_source_hides_a_later_one(around: Around, tmp_path: Path) -> None:
    write_private(tmp_path / "unlock.key", b"11" * 32)
    command = f"{sys.executable} -c 'print(\"22\" * 32)'"
    with descriptor(b"00" * 32) as number:
        assert found(around(GWCTL_UNLOCK_FD=number, GWCTL_UNLOCK_COMMAND=command)).value == b"\x00" * 32
    assert found(around(GWCTL_UNLOCK_COMMAND=command)).value == b"\x11" * 32
    (tmp_path / "unlock.key").unlink()
    assert found(around(GWCTL_UNLOCK_COMMAND=command)).value == b"\x22" * 32


def test_a_systemd_credential_may_be_readable_by_a_group(around: Around, tmp_path: Path) -> None:
    write_private(tmp_path / CREDENTIAL_NAME, KEY).chmod(0o440)
    secret = found(around(CREDENTIALS_DIRECTORY=str(tmp_path)))
    assert (secret.value, secret.source) == (KEY, f"credential {tmp_path / CREDENTIAL_NAME}")


def test_a_managed_key_file_may_be_a_link(around: Around, tmp_path: Path) -> None:
    write_private(tmp_path / "..data", KEY).chmod(0o444)
    (tmp_path / "mounted").symlink_to("..data")
    path = str(tmp_path / "mounted")
    assert found(around(GWCTL_KEY_FILE=path, GWCTL_KEY_FILE_MANAGED="1")).value == KEY
    with pytest.raises(Locked, match="a symbolic link"):
        found(around(GWCTL_KEY_FILE=path))


def test_a_passphrase_comes_from_its_descriptor_without_the_line_end(around: Around) -> None:
    with descriptor("h\u00e4user und g\u00e4rten\r\n".encode()) as number:
        secret = found(around(GWCTL_PASSPHRASE_FD=number))
    assert secret.value == "h\u00e4user und g\u00e4rten".encode()
    assert secret.kinds == {SlotKind.PASSPHRASE}


def test_a_recovery_code_is_known_wherever_it_is_typed(around: Around) -> None:
    code = write_code(KEY)
    for environ in ("GWCTL_UNLOCK_FD", "GWCTL_PASSPHRASE_FD"):
        with descriptor(code.reveal().encode() + b"\n") as number:
            secret = found(around(**{environ: number}))
        assert (secret.value, secret.kinds) == (KEY, {SlotKind.RECOVERY})
    secret = found(around(SlotKind.RECOVERY, prompt=lambda _: code))
    assert secret.value == KEY


def test_the_prompt_asks_for_what_the_vault_has(around: Around) -> None:
    asked: list[str] = []

    def prompt(question: str) -> Secret | None:
        asked.append(question)
        return None

    for kinds in ([SlotKind.PASSPHRASE], [SlotKind.FILE, SlotKind.PASSPHRASE, SlotKind.RECOVERY], [SlotKind.FILE]):
        list(findings(around(*kinds, prompt=prompt)))
    assert asked == ["vault passphrase", "vault passphrase or recovery code"]


def test_the_keyring_is_not_asked_unless_the_vault_has_a_slot_there(tmp_path: Path) -> None:
    never = OsKeyring({}, helper=tmp_path / "does-not-exist.py")
    surroundings = Surroundings({}, tmp_path / "unlock.key", [stored_slot(SlotKind.FILE)], never, None)
    assert all(isinstance(finding, Absent) for _, finding in findings(surroundings))


@pytest.mark.parametrize("params", ["", "[]", "{}", '{"backend": "null"}'])
def test_a_keyring_slot_with_odd_parameters_was_tampered_with(tmp_path: Path, params: str) -> None:
    slots = [stored_slot(SlotKind.KEYRING, params)]
    with pytest.raises(Tampered):
        list(findings(Surroundings({}, tmp_path / "unlock.key", slots, OsKeyring({}), None)))


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"GWCTL_UNLOCK_FD": "sk-canary"}, "GWCTL_UNLOCK_FD: not the number of a file descriptor"),
        ({"GWCTL_UNLOCK_FD": "-1"}, "GWCTL_UNLOCK_FD: not the number"),
        ({"GWCTL_UNLOCK_FD": "\u0663"}, "GWCTL_UNLOCK_FD: not the number"),
        ({"GWCTL_UNLOCK_FD": "9999"}, "GWCTL_UNLOCK_FD: descriptor 9999 is not open"),
        ({"GWCTL_PASSPHRASE_FD": "9999"}, "GWCTL_PASSPHRASE_FD: descriptor 9999 is not open"),
        ({"GWCTL_KEY_FILE": "/no/such/key"}, "key file /no/such/key: no such file"),
        ({"CREDENTIALS_DIRECTORY": "/dev/null"}, "key file /dev/null/gwctl-unlock: not a directory"),
        ({"GWCTL_UNLOCK_COMMAND": "false"}, "GWCTL_UNLOCK_COMMAND: it ended with exit status 1"),
        (
            {"GWCTL_UNLOCK_COMMAND": "/no/such/command sk-canary"},
            "GWCTL_UNLOCK_COMMAND: it cannot be run: no such file",
        ),
        ({"GWCTL_UNLOCK_COMMAND": "'"}, "GWCTL_UNLOCK_COMMAND: it cannot be run: cannot be understood"),
        ({"GWCTL_UNLOCK_COMMAND": "echo sk-canary"}, "GWCTL_UNLOCK_COMMAND: expected 32 bytes, found 9"),
        ({"GWCTL_UNLOCK_COMMAND": "head -c 5000 /dev/zero"}, "GWCTL_UNLOCK_COMMAND: it printed more than 4096 bytes"),
        ({"GWCTL_UNLOCK_COMMAND": "true"}, "GWCTL_UNLOCK_COMMAND: expected 32 bytes, found 0"),
    ],
    ids=str,
)
def test_a_broken_source_stops_with_its_name_and_shows_nothing(
    around: Around, environ: dict[str, str], message: str
) -> None:
    with pytest.raises(Locked, match=message) as caught:
        found(around(**{**environ, "PATH": os.environ["PATH"]}))
    assert "canary" not in f"{caught.value.message} {caught.value.hint}"


def test_a_broken_source_stops_before_a_good_one_behind_it(around: Around, tmp_path: Path) -> None:
    write_private(tmp_path / "unlock.key", KEY).chmod(0o644)
    with pytest.raises(Locked, match="key file"):
        found(around(GWCTL_UNLOCK_COMMAND=f"echo {KEY.hex()}", PATH=os.environ["PATH"]))


def test_a_descriptor_with_an_endless_stream_is_refused_without_reading_it_all(around: Around) -> None:
    with open("/dev/zero", "rb") as endless, pytest.raises(Locked, match="longer than 4096 bytes"):
        found(around(GWCTL_UNLOCK_FD=str(endless.fileno())))


def test_a_mistyped_recovery_code_is_called_so_and_not_a_wrong_key_file() -> None:
    mistyped = write_code(KEY).reveal()[:-1] + "Z"
    with pytest.raises(WrongKey, match="recovery code: the checksum"):
        interpret(mistyped.encode(), "GWCTL_UNLOCK_FD")


def test_a_found_secret_does_not_show_itself(around: Around) -> None:
    secret = interpret(b"canary-canary-canary-canary-cana", "GWCTL_UNLOCK_FD")
    assert "canary" not in repr(secret)
    with pytest.raises(GatewayError) as caught:
        interpret(b"canary", "GWCTL_UNLOCK_FD")
    assert "canary" not in str(caught.value)
