"""Recovery codes: 32 random bytes as text that a person can write down and type back.

Crockford's base32 (no I, L, O, U) in fourteen groups of four, ending in a 24-bit checksum: 35 bytes, 56 characters.
Reading tolerates lower case, O for 0, I and L for 1, and any spaces and hyphens. Messages never show the code.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from keyvault.clock import CROCKFORD
from keyvault.errors import WrongKey
from keyvault.secrets import Secret

SECRET_BYTES: Final = 32
CHECKSUM_BYTES: Final = 3
CHARACTERS: Final = (SECRET_BYTES + CHECKSUM_BYTES) * 8 // 5
GROUP: Final = 4
_READ_AS: Final = str.maketrans("OIL", "011", " -\t\r\n")


def write_code(secret: bytes) -> Secret:
    """The code of 32 bytes."""
    value = int.from_bytes(secret + _checksum(secret), "big")
    text = "".join(CROCKFORD[(value >> shift) & 31] for shift in range(5 * (CHARACTERS - 1), -1, -5))
    return Secret("-".join(text[start : start + GROUP] for start in range(0, CHARACTERS, GROUP)))


def looks_like_code(text: str) -> bool:
    """Whether a text has the length and alphabet of a recovery code, right or mistyped."""
    plain = _plain(text)
    return len(plain) == CHARACTERS and all(character in CROCKFORD for character in plain)


def read_code(text: str) -> bytes:
    """The 32 bytes of a code. Raises `WrongKey` saying what is wrong with it, without showing it."""
    plain = _plain(text)
    for position, character in enumerate(plain, start=1):
        if character not in CROCKFORD:
            raise WrongKey(f"recovery code: character {position} is none of the letters and digits such a code has")
    if len(plain) != CHARACTERS:
        raise WrongKey(f"recovery code: it has {CHARACTERS} letters and digits, this has {len(plain)}")
    value = 0
    for character in plain:
        value = value << 5 | CROCKFORD.index(character)
    data = value.to_bytes(SECRET_BYTES + CHECKSUM_BYTES, "big")
    secret, checksum = data[:SECRET_BYTES], data[SECRET_BYTES:]
    if not hmac.compare_digest(checksum, _checksum(secret)):
        raise WrongKey(
            "recovery code: the checksum does not match", hint="compare each group with what was written down"
        )
    return secret


def _plain(text: str) -> str:
    return text.upper().translate(_READ_AS)


def _checksum(secret: bytes) -> bytes:
    return hashlib.sha256(b"gwctl/v1/recovery\0" + secret).digest()[:CHECKSUM_BYTES]
