"""Everyday bodies are read in a shorter way: what is found of them is what the long way finds."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from keyvault.domain.endpoints import ENDPOINTS
from keyvault.errors import Refusal
from keyvault.proxy.dialects.body import Body, read_body
from keyvault.proxy.dialects.fields import JsonBody
from keyvault.proxy.dialects.plain import looked_through
from keyvault.proxy.dialects.references import stored_reference
from keyvault.proxy.dialects.shape import shape_of
from keyvault.proxy.dialects.usual import EVERYDAY

PATHS: Final = sorted(path for path, endpoint in ENDPOINTS.items() if not endpoint.multipart)
_VALUES: Final = st.sampled_from(
    (
        *(None, True, False, 0, 3, 0.5, -1, 10**19, "", "m", "a text", "a text that says fileid://x", {}, []),
        *({"file_id": "f-1"}, [{"type": "item_reference", "id": "i"}], ["a", "b"]),
        [{"role": "user", "content": "hello"}],
        [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}],
    )
)
_OTHERS: Final = ("container", "tools", "prompt", "stream_options", "background", "api_key", "Model", "conversation")
_FIELDS: Final = st.dictionaries(st.sampled_from([*sorted(EVERYDAY), *_OTHERS]), _VALUES, max_size=6)


def read(path: str, fields: dict[str, Any]) -> Body | tuple[int, str]:
    try:
        return read_body(ENDPOINTS[path], b"application/json", json.dumps(fields).encode())
    except Refusal as refusal:
        return refusal.status, refusal.message


def heads(body: Body | tuple[int, str]) -> object:
    if not isinstance(body, JsonBody):
        return body
    return {name: value for name, value in asdict(body).items() if name not in ("everyday", "fields")}


@pytest.mark.parametrize("path", PATHS)
@given(fields=_FIELDS)
@example(fields={"messages": [{"role": "user", "content": "hello"}], "max_tokens": 5, "max_completion_tokens": 9})
def test_an_everyday_body_is_what_it_is_beside_another_field(path: str, fields: dict[str, Any]) -> None:
    fields = {"model": "m", **fields}
    found, beside = read(path, fields), read(path, {**fields, "something": 1})
    assert heads(found) == heads(beside)
    if isinstance(found, JsonBody):
        assert found.looked_through == looked_through(found.fields)


@pytest.mark.parametrize("path", PATHS)
@given(fields=_FIELDS)
def test_nothing_is_overlooked_in_an_everyday_body(path: str, fields: dict[str, Any]) -> None:
    found = read(path, {"model": "m", **fields})
    if not isinstance(found, JsonBody):
        return
    raw, dialect = json.dumps({"model": "m", **fields}).encode(), ENDPOINTS[path].dialect
    longer = replace(found, everyday=False)
    assert shape_of(dialect, found, raw) == shape_of(dialect, longer, raw)
    assert stored_reference(dialect, found) == stored_reference(dialect, longer)


def test_talk_with_numbers_is_everyday_and_anything_more_is_not() -> None:
    talk: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "temperature": 0.5}
    for fields, everyday in (
        (talk, True),
        ({**talk, "tools": []}, False),
        ({**talk, "user": {"file_id": "f"}}, False),
        ({**talk, "messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]}, False),
    ):
        found = read("/chat/completions", fields)
        assert isinstance(found, JsonBody)
        assert found.everyday is everyday
