"""Passphrases: Argon2id turns one into a slot secret.

The parameters lie in the slot, are bound into what it seals, and are checked against hard limits before any memory is
asked for: a database writer must not be able to make an unlock take 64 GiB.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import asdict, dataclass
from typing import Final

from keyvault.errors import Tampered, UsageError
from keyvault.secrets import Secret

MIN_CHARACTERS: Final = 12
MAX_BYTES: Final = 1024
MAX_MEMORY_KIB: Final = 1024 * 1024
MAX_ITERATIONS: Final = 16
MAX_LANES: Final = 16
SALT_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Argon2Parameters:
    """What one derivation costs: memory in KiB, passes over it, lanes."""

    salt: str
    """Hexadecimal."""
    memory_kib: int = 64 * 1024
    iterations: int = 3
    lanes: int = 4

    def to_json(self) -> str:
        return json.dumps({"kdf": "argon2id", **asdict(self)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Argon2Parameters:
        """Read and check what a slot says. Raises `Tampered` for anything this program would never have written."""
        try:
            written = json.loads(text)
            if written.pop("kdf") != "argon2id":
                raise ValueError("another function")
            parameters = cls(**written)
            salt = bytes.fromhex(parameters.salt)
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
            raise Tampered("a passphrase slot has parameters that cannot be understood") from None
        parameters._check(len(salt))
        return parameters

    def _check(self, salt_bytes: int) -> None:
        numbers = (self.memory_kib, self.iterations, self.lanes)
        limits = (MAX_MEMORY_KIB, MAX_ITERATIONS, MAX_LANES)
        whole = all(type(number) is int and number >= 1 for number in numbers)
        if not whole or salt_bytes != SALT_BYTES or self.memory_kib < 8 * self.lanes:
            raise Tampered("a passphrase slot has parameters that were never written")
        if any(number > limit for number, limit in zip(numbers, limits, strict=True)):
            raise Tampered(
                f"a passphrase slot asks for {self.memory_kib // 1024} MiB, {self.iterations} passes and"
                f" {self.lanes} lanes, more than is ever written; refused"
            )


def derive_secret(passphrase: bytes, parameters: Argon2Parameters) -> bytes:
    """32 bytes from a passphrase. `parameters` must come from `from_json` or from this program."""
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    return Argon2id(
        salt=bytes.fromhex(parameters.salt),
        length=32,
        iterations=parameters.iterations,
        lanes=parameters.lanes,
        memory_cost=parameters.memory_kib,
    ).derive(passphrase)


def normalised(text: str) -> bytes:
    """The bytes of a passphrase, the same on every keyboard (NFC). Raises `UsageError` when it is absurdly long."""
    data = unicodedata.normalize("NFC", text).encode("utf-8", "surrogatepass")
    if len(data) > MAX_BYTES:
        raise UsageError(f"a passphrase has at most {MAX_BYTES} bytes")
    return data


def check_new(passphrase: Secret | None) -> bytes:
    """The bytes of a passphrase that shall protect a new slot. Raises `UsageError` when it is missing or too short."""
    if passphrase is None:
        raise UsageError("a passphrase slot needs a passphrase")
    text = passphrase.reveal()
    if len(text) < MIN_CHARACTERS:
        raise UsageError(f"a passphrase needs at least {MIN_CHARACTERS} characters", hint="five random words are good")
    return normalised(text)
