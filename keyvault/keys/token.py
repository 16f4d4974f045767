"""The downstream token: its text, its checksum and its MAC.

`sk-gw_<live|test>_<12 base62 id>_<43 base62 secret><6 base62 CRC32>`: 73 characters, 256 bits of secret. The checksum
covers everything before it, so that a mistyped token is refused without a look-up and a scanner can be sure of a
find. Only the MAC is stored: HMAC-SHA256 under a pepper from the vault, so that nobody who writes to the database
can forge a token. A random secret of 256 bits needs no slow hash.
"""

from __future__ import annotations

import hmac
import re
from binascii import crc32
from typing import Final

from keyvault.clock import BASE62

MAC_CONTEXT: Final = b"gwctl/v1/downstream\0"
SECRET_BYTES: Final = 32
PUBLIC_ID_BYTES: Final = 8

_ID_LENGTH: Final = 12
_SECRET_LENGTH: Final = 43
_CRC_LENGTH: Final = 6
_FORM = re.compile(rb"sk-gw_(?:live|test)_([0-9A-Za-z]{12})_[0-9A-Za-z]{49}")
_PAIRS: Final = tuple((high + low).encode() for high in BASE62 for low in BASE62)
_BASE_PAIR: Final = len(_PAIRS)


def public_id(entropy: bytes) -> str:
    """The 12 characters that name a key in its token, of `PUBLIC_ID_BYTES` random bytes."""
    return _base62(int.from_bytes(entropy, "big"), _ID_LENGTH)


def mint(env: str, key_public_id: str, entropy: bytes) -> str:
    """The token of a key for `SECRET_BYTES` random bytes. `env` is `live` or `test`."""
    if len(entropy) != SECRET_BYTES:
        raise ValueError(f"a token needs {SECRET_BYTES} bytes of entropy")
    text = f"sk-gw_{env}_{key_public_id}_{_base62(int.from_bytes(entropy, 'big'), _SECRET_LENGTH)}"
    return text + checksum(text.encode()).decode()


def parse(token: bytes) -> str | None:
    """The public id in a well-formed token with a right checksum, else None. Any bytes may be given."""
    match = _FORM.fullmatch(token)
    if match is None or checksum(token[:-_CRC_LENGTH]) != token[-_CRC_LENGTH:]:
        return None
    return match[1].decode()


def mac(pepper: bytes, token: bytes) -> bytes:
    """What is stored of a token, and looked up."""
    return hmac.digest(pepper, MAC_CONTEXT + token, "sha256")


def mask(token: str) -> str:
    """What may be shown: `sk-gw_live_AbC…x9Z2`. The tail is part of the checksum, not of the secret."""
    return f"{token[:14]}…{token[-4:]}"


def checksum(data: bytes) -> bytes:
    """CRC32 as six base62 digits, two at a time: this runs at every request."""
    rest, low = divmod(crc32(data), _BASE_PAIR)
    high, middle = divmod(rest, _BASE_PAIR)
    return _PAIRS[high] + _PAIRS[middle] + _PAIRS[low]


def _base62(value: int, length: int) -> str:
    digits = []
    for _ in range(length):
        value, digit = divmod(value, 62)
        digits.append(BASE62[digit])
    return "".join(reversed(digits))
