"""Where an unlock secret may come from, in order. Absent: the next source is asked. There but broken: an error.

No source takes the secret as the value of an option or an environment variable; those are visible to others.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keyvault.domain.vault import SlotKind
from keyvault.errors import Locked, Tampered
from keyvault.secrets import Secret
from keyvault.storage.vault import StoredSlot
from keyvault.vault.keyfile import MAX_FILE_BYTES, decode_key, read_limited, read_secret_file
from keyvault.vault.os_keyring import Absent, OsKeyring
from keyvault.vault.passphrase import normalised
from keyvault.vault.recovery import looks_like_code, read_code
from keyvault.vault.slots import UnlockSecret

CREDENTIAL_NAME: Final = "gwctl-unlock"
COMMAND_LIMIT_SECONDS: Final = 30.0
_KEYS: Final = frozenset({SlotKind.FILE, SlotKind.KEYRING})
_RECOVERY: Final = frozenset({SlotKind.RECOVERY})
_PASSPHRASE: Final = frozenset({SlotKind.PASSPHRASE})

Prompt = Callable[[str], Secret | None]
"""Asks a person without echo. Front ends give one only when there is a terminal to ask on."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All that the sources may look at."""

    environ: Mapping[str, str]
    key_file: Path
    slots: Sequence[StoredSlot]
    keyring: OsKeyring
    prompt: Prompt | None


Finding = UnlockSecret | Absent


@dataclass(frozen=True, slots=True)
class Source:
    name: str
    find: Callable[[Surroundings], Finding]


def findings(surroundings: Surroundings) -> Iterator[tuple[Source, Finding]]:
    """Ask one source after the other; the caller stops when it has what it needs."""
    for source in SOURCES:
        yield source, source.find(surroundings)


def from_descriptor(around: Surroundings) -> Finding:
    data = _read_descriptor(around.environ, "GWCTL_UNLOCK_FD")
    return data if isinstance(data, Absent) else interpret(data, "GWCTL_UNLOCK_FD")


def from_credentials_directory(around: Surroundings) -> Finding:
    directory = around.environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        return Absent("not set")
    path = Path(directory) / CREDENTIAL_NAME
    data = read_secret_file(path, managed=True)
    return Absent(f"no {CREDENTIAL_NAME} in it") if data is None else interpret(data, f"credential {path}")


def from_key_file(around: Surroundings) -> Finding:
    chosen = around.environ.get("GWCTL_KEY_FILE")
    path = Path(chosen) if chosen else around.key_file
    data = read_secret_file(path, managed=around.environ.get("GWCTL_KEY_FILE_MANAGED") == "1")
    if data is not None:
        return interpret(data, f"key file {path}")
    if chosen:
        raise Locked(f"key file {path}: no such file", hint="unset GWCTL_KEY_FILE")
    return Absent(f"no file {path}")


def from_command(around: Surroundings) -> Finding:
    command = around.environ.get("GWCTL_UNLOCK_COMMAND")
    if not command:
        return Absent("not set")
    return interpret(_output_of(command, around.environ), "GWCTL_UNLOCK_COMMAND")


def from_keyring(around: Surroundings) -> Finding:
    """Ask the keyring only if the vault has a slot for it: that starts a process."""
    why = "the vault has no keyring slot"
    for stored in around.slots:
        if stored.slot.kind is not SlotKind.KEYRING:
            continue
        backend, account = keyring_place(stored)
        found = around.keyring.fetch(backend, account)
        if not isinstance(found, Absent):
            return UnlockSecret(f"OS keyring ({backend})", frozenset({SlotKind.KEYRING}), found)
        why = found.why
    return Absent(why)


def from_passphrase_descriptor(around: Surroundings) -> Finding:
    given = passphrase_from_descriptor(around.environ, "GWCTL_PASSPHRASE_FD")
    return Absent("not set") if given is None else _from_text(given.reveal(), "GWCTL_PASSPHRASE_FD")


def from_prompt(around: Surroundings) -> Finding:
    kinds = {stored.slot.kind for stored in around.slots} & (_PASSPHRASE | _RECOVERY)
    if not kinds:
        return Absent("the vault has no passphrase or recovery slot")
    if around.prompt is None:
        return Absent("there is no terminal to ask on")
    asked = " or ".join(
        {SlotKind.PASSPHRASE: "passphrase", SlotKind.RECOVERY: "recovery code"}[k] for k in sorted(kinds)
    )
    answer = around.prompt(f"vault {asked}")
    return _from_text(answer.reveal(), "prompt") if answer else Absent("nothing was entered")


def passphrase_from_descriptor(environ: Mapping[str, str], variable: str) -> Secret | None:
    """A passphrase from the descriptor whose number a variable has, without the line's end; None where it is not set.
    Raises `Locked`."""
    data = _read_descriptor(environ, variable)
    if isinstance(data, Absent):
        return None
    return Secret(_as_text(data, variable).removesuffix("\n").removesuffix("\r"))


SOURCES: Final = (
    Source("GWCTL_UNLOCK_FD", from_descriptor),
    Source("CREDENTIALS_DIRECTORY", from_credentials_directory),
    Source("key file", from_key_file),
    Source("GWCTL_UNLOCK_COMMAND", from_command),
    Source("OS keyring", from_keyring),
    Source("GWCTL_PASSPHRASE_FD", from_passphrase_descriptor),
    Source("prompt", from_prompt),
)


def interpret(data: bytes, source: str) -> UnlockSecret:
    """A key in one of its forms, or a recovery code. Raises `Locked` or `WrongKey` naming the source."""
    text = data.decode("ascii", "replace")
    if looks_like_code(text):
        return UnlockSecret(source, _RECOVERY, read_code(text))
    return UnlockSecret(source, _KEYS, decode_key(data, source))


def keyring_place(stored: StoredSlot) -> tuple[str, str]:
    """(backend, account) of a keyring slot. Raises `Tampered`."""
    try:
        params = json.loads(stored.params)
        return str(params["backend"]), str(params["account"])
    except (ValueError, TypeError, KeyError):
        raise Tampered(f"slot {stored.slot.id} of the vault was changed") from None


def _from_text(text: str, source: str) -> UnlockSecret:
    if looks_like_code(text):
        return UnlockSecret(source, _RECOVERY, read_code(text))
    return UnlockSecret(source, _PASSPHRASE, normalised(text))


def _read_descriptor(environ: Mapping[str, str], variable: str) -> bytes | Absent:
    written = environ.get(variable)
    if not written:
        return Absent("not set")
    if not (written.isascii() and written.isdigit() and len(written) < 8):
        # What was written is not repeated: it may be the secret itself, put there by mistake.
        raise Locked(f"{variable}: not the number of a file descriptor", hint=f"{variable}=3 … 3< FILE")
    try:
        os.set_inheritable(int(written), False)
    except OSError:
        raise Locked(f"{variable}: descriptor {written} is not open", hint=f"{variable}=3 … 3< FILE") from None
    return read_limited(int(written), variable)


def _as_text(data: bytes, source: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Locked(f"{source}: not UTF-8 text") from None


def _output_of(command: str, environ: Mapping[str, str]) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 - the operator's own command, without a shell
            shlex.split(command),
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=COMMAND_LIMIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Locked(f"GWCTL_UNLOCK_COMMAND: no answer within {COMMAND_LIMIT_SECONDS:g} seconds") from None
    except (OSError, ValueError) as error:
        why = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else "cannot be understood"
        raise Locked(f"GWCTL_UNLOCK_COMMAND: it cannot be run: {why}") from None
    if done.returncode:
        raise Locked(f"GWCTL_UNLOCK_COMMAND: it ended with exit status {done.returncode}")
    if len(done.stdout) > MAX_FILE_BYTES:
        raise Locked(f"GWCTL_UNLOCK_COMMAND: it printed more than {MAX_FILE_BYTES} bytes")
    return done.stdout
