"""Recovery codes: forgiving about how they are typed, strict about what they say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyvault.clock import CROCKFORD
from keyvault.errors import WrongKey
from keyvault.vault.recovery import looks_like_code, read_code, write_code

SECRET = bytes(range(32))
CODE = write_code(SECRET).reveal()

secrets = st.binary(min_size=32, max_size=32)


def test_a_code_is_fourteen_groups_of_four() -> None:
    groups = CODE.split("-")
    assert len(groups) == 14
    assert all(len(group) == 4 and set(group) <= set(CROCKFORD) for group in groups)


@given(secrets)
def test_what_was_written_is_read_back(secret: bytes) -> None:
    assert read_code(write_code(secret).reveal()) == secret


@given(secrets, st.data())
def test_typing_habits_are_tolerated(secret: bytes, data: st.DataObject) -> None:
    looks = {"0": "0Oo", "1": "1IiLl"}
    typed = "".join(
        data.draw(st.sampled_from(looks.get(c, c + c.lower()))) + data.draw(st.sampled_from(["", " ", "-"]))
        for c in write_code(secret).reveal().replace("-", "")
    )
    assert looks_like_code(typed)
    assert read_code(f" {typed}\n") == secret


@given(secrets, st.integers(0, 55), st.sampled_from(CROCKFORD))
def test_one_wrong_character_shows(secret: bytes, position: int, character: str) -> None:
    plain = write_code(secret).reveal().replace("-", "")
    if plain[position] == character:
        return
    with pytest.raises(WrongKey, match="checksum"):
        read_code(plain[:position] + character + plain[position + 1 :])


def test_two_swapped_groups_show() -> None:
    first, second, *rest = CODE.split("-")
    with pytest.raises(WrongKey, match="checksum"):
        read_code("-".join([second, first, *rest]))


@given(st.text(max_size=100))
def test_any_other_text_is_refused_with_a_typed_error(text: str) -> None:
    with pytest.raises(WrongKey):
        read_code(text)


def test_a_refusal_counts_but_never_repeats_what_was_typed() -> None:
    with pytest.raises(WrongKey, match="56 letters and digits, this has 55") as short:
        read_code(CODE[:-1])
    with pytest.raises(WrongKey, match="character 3 is none"):
        read_code("AB*C")
    assert CODE[:9] not in str(short.value)
