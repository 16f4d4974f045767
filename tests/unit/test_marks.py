"""Names and types of interest are found wherever they stand in a JSON text, however it is written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyvault.proxy.dialects.marks import Marks

MARKS = Marks(begins=(b"file_id",), ends=(b"_url",))


def escaped(name: str) -> str:
    return "".join(f"\\u{ord(letter):04x}" for letter in name)


@pytest.mark.parametrize("around", ["", "a long text " * 500, '{"many": "short ones"} ' * 200])
@pytest.mark.parametrize("name", ["file_id", "file_ids", "image_url", escaped("file_id"), "f" + escaped("ile_id")])
def test_a_name_is_found_in_short_and_long_texts(name: str, around: str) -> None:
    text = f'{{"content": {json.dumps(around)}, "{name}": 1}}'
    assert MARKS.stand_in(text.encode())
    assert not MARKS.stand_in(text.replace(name, "nothing").encode())


texts = st.text(st.characters(codec="ascii", exclude_characters="\\"), max_size=300)
bodies = st.recursive(
    texts | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=12
)


@given(bodies, st.sampled_from(["file_id", "image_url"]), st.booleans())
def test_no_body_hides_a_name(body: object, name: str, first: bool) -> None:
    parts = [{name: "x"}, body] if first else [body, {name: "x"}]
    assert MARKS.stand_in(json.dumps(parts).encode())
