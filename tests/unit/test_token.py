"""The downstream token: its form, its checksum, its MAC."""

from __future__ import annotations

import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyvault.clock import BASE62
from keyvault.keys import token

VECTOR = "sk-gw_test_000000000000_00000000000000000000000000000000000000000001rMNQM"
VECTOR_MAC = "f12b845712373a1cb8ec2c9222fed764ed13de297957770a6e370f2227b68b33"
GOOD = token.mint("live", "AbCdEfGhIjKl", bytes(range(32)))


def test_the_known_token_is_minted_from_zeros() -> None:
    assert token.mint("test", "0" * 12, bytes(32)) == VECTOR


def test_the_known_token_has_the_known_mac() -> None:
    assert token.mac(b"\x01" * 32, VECTOR.encode()).hex() == VECTOR_MAC


def test_a_token_parses_to_its_public_id() -> None:
    assert token.parse(VECTOR.encode()) == "000000000000"
    assert token.parse(GOOD.encode()) == "AbCdEfGhIjKl"


def test_the_largest_secret_fits_43_characters() -> None:
    text = token.mint("live", "z" * 12, b"\xff" * 32)
    assert len(text) == 73
    assert token.parse(text.encode()) == "z" * 12


def test_too_little_entropy_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        token.mint("live", "0" * 12, bytes(31))


def test_the_mask_shows_neither_the_secret_nor_most_of_the_id() -> None:
    assert token.mask(GOOD) == f"sk-gw_live_AbC…{GOOD[-4:]}"


def with_checksum(text: str) -> bytes:
    """`text` with a right checksum, however wrong the rest is."""
    value, digits = zlib.crc32(text.encode()), ""
    for _ in range(6):
        value, digit = divmod(value, 62)
        digits = BASE62[digit] + digits
    return (text + digits).encode()


MALFORMED = {
    "nothing": b"",
    "one character changed": GOOD.replace("AbC", "AbD").encode(),
    "two characters swapped": GOOD.replace("AbC", "bAC").encode(),
    "other environment": GOOD.replace("_live_", "_test_").encode(),
    "unknown environment with a right checksum": with_checksum("sk-gw_prod_000000000000_" + "0" * 43),
    "newline at the end": GOOD.encode() + b"\n",
    "newline in front": b"\n" + GOOD.encode(),
    "carriage return": GOOD.encode() + b"\r",
    "tab": GOOD.encode() + b"\t",
    "space in front": b" " + GOOD.encode(),
    "NUL at the end": GOOD.encode() + b"\0",
    "NUL inside": GOOD.encode()[:30] + b"\0" + GOOD.encode()[31:],
    "full-width digits": VECTOR.replace("0", "\uff10").encode(),
    "arabic-indic digits": VECTOR.replace("0", "\u0660").encode(),
    "not ASCII": GOOD.encode()[:-1] + b"\xff",
    "only 0xff": b"\xff" * 73,
    "one character short": GOOD.encode()[:-1],
    "one character long": GOOD.encode() + b"0",
    "twice": GOOD.encode() * 2,
    "upper case": GOOD.upper().encode(),
    "another prefix": b"sk-" + GOOD.encode()[6:],
    "short secret with a right checksum": with_checksum("sk-gw_live_000000000000_" + "0" * 42),
    "checksum alone wrong": VECTOR.encode()[:-1] + b"N",
    "very long": b"sk-gw_live_" + b"0" * 70_000,
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_token_does_not_parse(text: bytes) -> None:
    assert token.parse(text) is None


@given(st.binary(max_size=200))
def test_any_bytes_may_be_presented(presented: bytes) -> None:
    assert token.parse(presented) is None


@given(st.sampled_from(["live", "test"]), st.binary(min_size=8, max_size=8), st.binary(min_size=32, max_size=32))
def test_whatever_is_minted_parses(env: str, id_entropy: bytes, entropy: bytes) -> None:
    public_id = token.public_id(id_entropy)
    text = token.mint(env, public_id, entropy)
    assert re.fullmatch(r"sk-gw_(live|test)_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}", text)
    assert token.parse(text.encode()) == public_id


@given(st.integers(0, 72), st.sampled_from(BASE62))
def test_no_single_character_can_be_changed(position: int, character: str) -> None:
    changed = GOOD[:position] + character + GOOD[position + 1 :]
    assert (token.parse(changed.encode()) is None) == (changed != GOOD)
