"""Sealed records, suite 1: how every secret in the database is encrypted.

A record is a header of 73 bytes (`"gwv"`, format, suite, generation u32, salt 32, commitment 32; big-endian), the
AES-256-GCM ciphertext and its tag. Key, nonce and commitment come from HKDF-SHA256 over the generation's key, a fresh
salt and the purpose, so a nonce is never used twice; the commitment makes "wrong key" and "changed" two different
errors. Header, purpose and associated data are authenticated. Opening raises; it never returns a doubtful value.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from typing import Final

from keyvault.errors import FormatTooNew, Tampered, UnknownGeneration, WrongKey

MAGIC: Final = b"gwv"
FORMAT: Final = 1
SUITE: Final = 1
SALT_BYTES: Final = 32
COMMITMENT_BYTES: Final = 32
HEADER_BYTES: Final = len(MAGIC) + 2 + 4 + SALT_BYTES + COMMITMENT_BYTES
OVERHEAD: Final = HEADER_BYTES + 16
_SALT_START: Final = len(MAGIC) + 2 + 4
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


def pae(*parts: bytes) -> bytes:
    """Pre-authentication encoding: count and lengths (u64, little-endian) before the bytes, so that no two lists of
    parts encode alike (`("ab", "c")` and `("a", "bc")` differ). Source: PASETO's PAE."""
    return b"".join([_u64le(len(parts)), *(_u64le(len(part)) + part for part in parts)])


def derive(key: bytes, purpose: str, length: int = 32, *, salt: bytes = b"") -> bytes:
    """HKDF-SHA256 of a key for one purpose; other purposes give unrelated bytes."""
    from cryptography.hazmat.primitives.hashes import SHA256  # costs 50 ms: only for those who unlock
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), length, salt, b"gwctl/v1/" + purpose.encode()).derive(key)


def seal(key: bytes, generation: int, purpose: str, ad: bytes, plaintext: bytes, *, salt: bytes | None = None) -> bytes:
    """Encrypt `plaintext` under one generation's key. `salt` is random unless a test vector needs its own."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt = os.urandom(SALT_BYTES) if salt is None else salt
    record_key, nonce, commitment = _record_keys(key, purpose, salt)
    header = MAGIC + bytes((FORMAT, SUITE)) + generation.to_bytes(4, "big") + salt + commitment
    return header + AESGCM(record_key).encrypt(nonce, plaintext, pae(header, purpose.encode(), ad))


def open_sealed(keys: Mapping[int, bytes], purpose: str, ad: bytes, blob: bytes) -> bytes:
    """The plaintext of a record, with `keys` by generation number.

    Checked in this order: length, magic, format and suite, generation, commitment, tag. Raises `Tampered`,
    `FormatTooNew`, `UnknownGeneration` or `WrongKey`.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    generation = read_generation(blob)
    if generation not in keys:
        raise UnknownGeneration(f"a sealed record names data key {generation}, which is not loaded")
    header = blob[:HEADER_BYTES]
    salt, stored_commitment = header[_SALT_START:-COMMITMENT_BYTES], header[-COMMITMENT_BYTES:]
    record_key, nonce, commitment = _record_keys(keys[generation], purpose, salt)
    if not hmac.compare_digest(commitment, stored_commitment):
        raise WrongKey("the key does not belong to this sealed record")
    try:
        return AESGCM(record_key).decrypt(nonce, blob[HEADER_BYTES:], pae(header, purpose.encode(), ad))
    except InvalidTag:
        raise Tampered("a sealed record or what it belongs to was changed") from None


def read_generation(blob: bytes) -> int:
    """The generation a record names, after checking all that can be checked without a key."""
    if len(blob) < OVERHEAD:
        raise Tampered("a sealed record is too short")
    if blob[:3] != MAGIC:
        raise Tampered("not a sealed record")
    written_format, suite = blob[3], blob[4]
    if written_format > FORMAT or suite > SUITE:
        raise FormatTooNew(f"a sealed record was written by a newer version (format {written_format}, suite {suite})")
    if written_format != FORMAT or suite != SUITE:
        raise Tampered("a sealed record has a format that never was")
    return int.from_bytes(blob[5:9], "big")


def _record_keys(key: bytes, purpose: str, salt: bytes) -> tuple[bytes, bytes, bytes]:
    okm = derive(key, purpose, _KEY_BYTES + _NONCE_BYTES + COMMITMENT_BYTES, salt=salt)
    return okm[:_KEY_BYTES], okm[_KEY_BYTES : _KEY_BYTES + _NONCE_BYTES], okm[-COMMITMENT_BYTES:]


def _u64le(number: int) -> bytes:
    return number.to_bytes(8, "little")
