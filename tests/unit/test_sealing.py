"""Sealed records: the format's known answer, and that nothing changed, moved or cut ever opens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyvault.errors import FormatTooNew, SealError, Tampered, UnknownGeneration, WrongKey
from keyvault.vault.sealing import HEADER_BYTES, OVERHEAD, open_sealed, pae, seal

KEY = bytes(range(32))
AD = pae(b"v", b"rec-a", b"openai", b"https://api.openai.com", b"1")
PURPOSE = "upstream-secret"
KNOWN_ANSWER = bytes.fromhex(
    "677776010100000007202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
    "d2ce870bb1ee35e7a2395c2b52382ffec5a08847edfab6a37d523ade99d5b5f2ceb3cc73cb77cceb14"
    "372a45f0fa1958e9721a34d63ab3"
)

parts = st.lists(st.binary(max_size=40), max_size=6)


def test_the_known_answer_of_suite_1() -> None:
    assert seal(KEY, 7, PURPOSE, AD, b"sk-test", salt=bytes(range(0x20, 0x40))) == KNOWN_ANSWER
    assert open_sealed({7: KEY}, PURPOSE, AD, KNOWN_ANSWER) == b"sk-test"


def test_every_bit_flip_is_rejected_with_a_typed_error() -> None:
    for position in range(len(KNOWN_ANSWER)):
        for bit in range(8):
            blob = bytearray(KNOWN_ANSWER)
            blob[position] ^= 1 << bit
            with pytest.raises(SealError):
                open_sealed({7: KEY}, PURPOSE, AD, bytes(blob))


def test_every_truncation_is_rejected() -> None:
    for length in range(len(KNOWN_ANSWER)):
        with pytest.raises(Tampered):
            open_sealed({7: KEY}, PURPOSE, AD, KNOWN_ANSWER[:length])


def test_appended_bytes_are_rejected() -> None:
    for extra in (b"\0", b"\n", KNOWN_ANSWER):
        with pytest.raises(Tampered):
            open_sealed({7: KEY}, PURPOSE, AD, KNOWN_ANSWER + extra)


@given(st.binary(max_size=300))
def test_a_random_blob_never_opens(blob: bytes) -> None:
    with pytest.raises(SealError):
        open_sealed({7: KEY}, PURPOSE, AD, blob)


@given(st.binary(max_size=200))
def test_a_random_rest_behind_a_true_header_never_opens(rest: bytes) -> None:
    with pytest.raises(SealError):
        open_sealed({7: KEY}, PURPOSE, AD, KNOWN_ANSWER[:HEADER_BYTES] + rest)


@pytest.mark.parametrize(
    ("position", "value", "expected"),
    [
        (0, 0x68, Tampered),
        (3, 2, FormatTooNew),
        (3, 0, Tampered),
        (4, 2, FormatTooNew),
        (4, 0, Tampered),
        (8, 8, UnknownGeneration),
        (9, 0, WrongKey),
        (HEADER_BYTES - 1, 0, WrongKey),
        (HEADER_BYTES, 0, Tampered),
    ],
    ids=["magic", "newer format", "no format", "newer suite", "no suite", "generation", "salt", "commitment", "text"],
)
def test_each_damage_has_its_own_error(position: int, value: int, expected: type[SealError]) -> None:
    blob = bytearray(KNOWN_ANSWER)
    blob[position] = value
    with pytest.raises(expected):
        open_sealed({7: KEY}, PURPOSE, AD, bytes(blob))


def test_another_key_is_told_from_a_changed_record() -> None:
    with pytest.raises(WrongKey):
        open_sealed({7: bytes(32)}, PURPOSE, AD, KNOWN_ANSWER)


def test_a_record_opens_only_for_its_purpose_and_its_place() -> None:
    with pytest.raises(WrongKey):
        open_sealed({7: KEY}, "pepper", AD, KNOWN_ANSWER)
    elsewhere = pae(b"v", b"rec-b", b"openai", b"https://api.openai.com", b"1")
    with pytest.raises(Tampered):
        open_sealed({7: KEY}, PURPOSE, elsewhere, KNOWN_ANSWER)


@given(st.binary(max_size=500), st.integers(0, 2**32 - 1), st.text(max_size=20), parts)
def test_what_is_sealed_opens_again(plaintext: bytes, generation: int, purpose: str, identity: list[bytes]) -> None:
    blob = seal(KEY, generation, purpose, pae(*identity), plaintext)
    assert len(blob) == len(plaintext) + OVERHEAD
    assert open_sealed({generation: KEY}, purpose, pae(*identity), blob) == plaintext


def test_two_seals_of_one_text_differ() -> None:
    assert seal(KEY, 1, PURPOSE, AD, b"same") != seal(KEY, 1, PURPOSE, AD, b"same")


def test_pae_tells_where_one_part_ends() -> None:
    assert pae(b"ab", b"c") != pae(b"a", b"bc")
    assert pae() != pae(b"")


@given(parts, parts)
def test_pae_never_encodes_two_lists_alike(one: list[bytes], other: list[bytes]) -> None:
    assert (pae(*one) == pae(*other)) is (one == other)
