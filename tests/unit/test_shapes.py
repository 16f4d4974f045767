"""What a request's body can cost at most is read from its shape; what has no bound is named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from keyvault.domain.endpoints import ENDPOINTS, Dialect
from keyvault.proxy.dialects.body import read_body
from keyvault.proxy.dialects.plain import looked_through
from keyvault.proxy.dialects.shape import IMAGE_OUTPUT, OTHER_IMAGE_TOKENS, TOOL_PROMPT, Shape, image_tokens, shape_of

CHAT, RESPONSES, MESSAGES, IMAGES = "/chat/completions", "/responses", "/messages", "/images/edits"
PIXELS = "A" * 4000
DATA_URL = f"data:image/png;base64,{PIXELS}"


def shape(path: str, **fields: Any) -> Shape:
    raw = json.dumps({"model": "m", **fields}).encode()
    endpoint = ENDPOINTS[path]
    return shape_of(endpoint.dialect, read_body(endpoint, b"application/json", raw), raw)


def said(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def test_text_is_bounded_by_its_bytes_and_output_by_its_cap() -> None:
    found = shape(CHAT, messages=[{"role": "user", "content": "hi"}], max_tokens=7, n=3)
    raw = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 7, "n": 3})
    assert (found.tokens, found.cap, found.choices, found.given) == (len(raw), 7, 3, ("max_tokens",))
    assert found.unbounded is None


def test_an_image_in_the_body_counts_for_what_any_image_may_come_to() -> None:
    images: list[tuple[str, dict[str, Any]]] = [
        (CHAT, {"messages": said({"type": "image_url", "image_url": {"url": DATA_URL}})}),
        (RESPONSES, {"input": said({"type": "input_image", "image_url": DATA_URL})}),
        (
            MESSAGES,
            {"max_tokens": 9, "messages": said({"type": "image", "source": {"type": "base64", "data": PIXELS}})},
        ),
    ]
    for path, fields in images:
        found = shape(path, **fields)
        assert (found.images, found.unbounded) == (1, None), path
        assert found.tokens < 300, path
        assert found.input_tokens("gpt-5") == found.tokens + OTHER_IMAGE_TOKENS
    assert image_tokens("claude-opus-4-7") < OTHER_IMAGE_TOKENS < image_tokens("gpt-4o-mini")


UNBOUNDED: list[tuple[str, dict[str, Any], str]] = [
    (CHAT, {"messages": said({"type": "image_url", "image_url": {"url": "https://e.org/a.png"}})}, "image_url"),
    (CHAT, {"messages": said({"type": "file", "file": {"file_data": DATA_URL}})}, "file"),
    (CHAT, {"messages": said({"type": "video_url", "video_url": {"url": DATA_URL}})}, "video_url"),
    *(
        (CHAT, {"messages": said({"type": kind, kind: value})}, kind)
        for kind in ("document_url", "input_audio", "image_url", "audio_url")
        for value in (
            "https://e.org/a",
            {"url": "gs://e/a"},
            {"data": "https://e.org/a"},
            {"url": "data:video/mp4;base64,AA"},
        )
    ),
    (CHAT, {"messages": said({"type": "image_url", "image_url": "data:application/pdf;base64,AA"})}, "image_url"),
    (CHAT, {"messages": said({"type": "input_image", "url": "s3://e/a"})}, "url"),
    (CHAT, {"messages": said({"audio": "file:///a.mp3"})}, "audio"),
    (CHAT, {"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]}, "audio"),
    (CHAT, {"messages": [], "enable_search": True}, "enable_search"),
    (CHAT, {"messages": [], "search_parameters": {}}, "search_parameters"),
    (CHAT, {"messages": [], "extra_body": {"google": {"cached_content": "cachedContents/1"}}}, "extra_body"),
    (CHAT, {"messages": [], "cached_content": "cachedContents/1"}, "cached_content"),
    (MESSAGES, {"max_tokens": 9, "messages": [], "plugins": [{"id": "web"}]}, "plugins"),
    (IMAGES, {"prompt": "x", "images": [{"image_url": "https://e.org/a.png"}]}, "image_url"),
    (IMAGES, {"prompt": "x", "images": [{"file_id": "file-1"}]}, "file_id"),
    (IMAGES, {"prompt": "x", "image": "https://e.org/a.png"}, "image"),
    (IMAGES, {"prompt": "x", "reference": {"url": "https://e.org/a.png"}}, "url"),
    ("/audio/transcriptions", {"url": "https://e.org/a.mp3"}, "url"),
    (RESPONSES, {"input": [{"id": "msg_1"}]}, "item_reference"),
    (RESPONSES, {"input": [{"type": "reasoning", "id": "rs_1", "summary": []}]}, "reasoning"),
    (RESPONSES, {"input": [{"type": "reasoning", "id": "rs_1", "encrypted_content": ""}]}, "reasoning"),
    (CHAT, {"messages": [{"role": "system", "content": "fileid://file-fe-1"}]}, "messages"),
    (CHAT, {"messages": [], "provider": {"order": ["dear"]}}, "provider"),
    *((CHAT, {"messages": [], "max_tokens": 5, name: 10**6}, name) for name in ("n_predict", "n_cmpl", "num_predict")),
    (CHAT, {"messages": [], "web_search_options": {}}, "web_search_options"),
    (CHAT, {"messages": [], "modalities": ["text", "image"]}, "modalities"),
    (CHAT, {"messages": [], "prediction": {"type": "content", "content": "x"}}, "prediction"),
    (CHAT, {"messages": [], "service_tier": "priority"}, "service_tier"),
    (RESPONSES, {"input": said({"type": "input_image", "file_id": "file-1"})}, "file_id"),
    (RESPONSES, {"input": said({"type": "input_file", "file_url": "https://e.org/a.pdf"})}, "file_url"),
    (RESPONSES, {"input": [{"type": "item_reference", "id": "rs_1"}]}, "item_reference"),
    (RESPONSES, {"input": "x", "previous_response_id": "resp_1"}, "previous_response_id"),
    (RESPONSES, {"input": "x", "conversation": "conv_1"}, "conversation"),
    (RESPONSES, {"input": "x", "prompt": {"id": "pmpt_1"}}, "prompt"),
    (RESPONSES, {"input": "x", "background": True}, "background"),
    *(
        (RESPONSES, {"input": "x", "tools": [{"type": kind}]}, "tools")
        for kind in ("web_search", "code_interpreter", "file_search", "computer_use_preview", "mcp", "image_generation")
    ),
    *(
        (MESSAGES, {"max_tokens": 9, "messages": said({"type": "image", "source": source})}, "image")
        for source in (
            {"type": "url"},
            {"type": "base64", "media_type": "application/pdf", "data": PIXELS},
            {"type": "base64", "data": "https://e.org/a.png"},
        )
    ),
    (MESSAGES, {"max_tokens": 9, "messages": said({"type": "document", "source": {"type": "base64"}})}, "document"),
    (MESSAGES, {"max_tokens": 9, "messages": [], "tools": [{"type": "web_search_20250305", "name": "w"}]}, "tools"),
    (MESSAGES, {"max_tokens": 9, "messages": [], "mcp_servers": [{"url": "https://e.org"}]}, "mcp_servers"),
    (MESSAGES, {"max_tokens": 9, "messages": [], "container": "c"}, "container"),
]


@pytest.mark.parametrize(("path", "fields", "field"), UNBOUNDED, ids=lambda value: str(value)[:40])
def test_what_the_body_does_not_hold_has_no_bound(path: str, fields: dict[str, Any], field: str) -> None:
    assert shape(path, **fields).unbounded == field


def test_a_large_body_does_not_hide_what_has_no_bound() -> None:
    long = {"role": "user", "content": "a long text " * 2000}
    for path, fields, field in UNBOUNDED:
        talk = "input" if path == RESPONSES else "messages"
        if isinstance(fields.get(talk), list):
            assert shape(path, **{**fields, talk: [long, *fields[talk], long]}).unbounded == field, fields


def test_images_are_edited_at_what_any_image_may_come_to() -> None:
    for images in (
        {"images": [{"type": "image_url", "image_url": DATA_URL}]},
        {"image": DATA_URL},
        {"image": [DATA_URL]},
    ):
        found = shape(IMAGES, prompt="see https://e.org/", n=1, **images)
        assert (found.images, found.unbounded) == (1, None)
        assert found.tokens < 300


def test_what_only_sounds_dear_has_a_bound() -> None:
    harmless: dict[str, Any] = {"google": {"thinking_config": {"thinking_budget": 0}}}
    assert shape(CHAT, messages=[], enable_search=False, plugins=[], extra_body=harmless).unbounded is None
    cited = {"type": "text", "text": "https://e.org", "annotations": [{"type": "url_citation", "url": "https://e.org"}]}
    heard = {"type": "input_audio", "input_audio": {"data": PIXELS, "format": "mp3"}}
    assert shape(CHAT, messages=said(cited, heard)).unbounded is None
    items = [{"id": "msg_1", "type": "message", "content": []}, {"id": "msg_2", "role": "user", "content": "x"}]
    assert shape(RESPONSES, input=items).unbounded is None
    thought = [{"type": "reasoning", "id": "rs_1", "encrypted_content": "gAAA"}, {"type": "reasoning", "summary": []}]
    assert shape(RESPONSES, input=thought).unbounded is None
    assert shape(CHAT, messages=[], provider={}).unbounded is None


def test_a_mark_written_with_escapes_or_twice_in_one_object_does_not_pass() -> None:
    for part in (
        '{"type":"image\\u005furl","image\\u005furl":{"url":"https://e.org/a.png"}}',
        f'{{"type":"image_url","image_url":{{"url":"{DATA_URL}"}},"image_url":{{"url":"https://e.org"}}}}',
        f'{{"type":"image_url","image_url":{{"url":"https://e.org"}},"image_url":{{"url":"{DATA_URL}"}}}}',
    ):
        raw = f'{{"model":"m","messages":[{{"role":"user","content":[{part}]}}]}}'.encode()
        body = read_body(ENDPOINTS[CHAT], b"application/json", raw)
        assert shape_of(Dialect.CHAT, body, raw).unbounded == "image_url", part


@pytest.mark.parametrize("kinds", ['"web_search","type":"function"', '"function","type":"web_search"'])
@pytest.mark.parametrize(("path", "talk"), [(RESPONSES, "input"), (MESSAGES, "messages"), (CHAT, "messages")])
def test_a_tool_that_says_twice_what_it_is_counts_as_both(path: str, talk: str, kinds: str) -> None:
    raw = f'{{"model":"m","max_tokens":5,"{talk}":[],"tools":[{{"type":{kinds}}}]}}'.encode()
    body = read_body(ENDPOINTS[path], b"application/json", raw)
    assert shape_of(ENDPOINTS[path].dialect, body, raw).unbounded == "tools"


@pytest.mark.parametrize("written", ["fileid://a", r"fileid:\/\/a", r"\u0066ileid://a", r"fil\u0065id\u003A//a"])
def test_a_file_that_is_named_in_a_text_has_no_bound_however_it_is_written(written: str) -> None:
    raw = f'{{"model":"m","messages":[{{"role":"system","content":"{written}"}}]}}'.encode()
    body = read_body(ENDPOINTS[CHAT], b"application/json", raw)
    assert shape_of(Dialect.CHAT, body, raw).unbounded == "messages"
    assert shape(CHAT, messages=said({"type": "text", "text": "é: a field id, \u0066"})).unbounded is None


def test_talk_about_images_and_tools_described_as_text_have_a_bound() -> None:
    function = {"type": "function", "function": {"name": "f", "parameters": {"properties": {"image_url": {}}}}}
    assert shape(CHAT, messages=said({"type": "text", "text": 'an "image_url"'}), tools=[function]).unbounded is None
    called = {"type": "tool_use", "id": "t", "name": "f", "input": {"image_url": "https://e.org"}}
    assert shape(MESSAGES, max_tokens=9, messages=said(called)).unbounded is None


def test_what_anthropic_adds_for_tools_is_counted() -> None:
    plain = shape(MESSAGES, max_tokens=9, messages=[], tools=[{"name": "f", "input_schema": {}}])
    assert plain.tokens > TOOL_PROMPT
    described = [{"type": "bash_20250124", "name": "bash"}]
    assert shape(MESSAGES, max_tokens=9, messages=[], tools=described).tokens > 2 * TOOL_PROMPT


def test_a_cap_is_followed_only_where_its_api_follows_it() -> None:
    assert shape(RESPONSES, input="x", max_tokens=9).cap is None
    assert shape(RESPONSES, input="x", max_output_tokens=20).cap == 20
    assert shape(CHAT, messages=[], max_output_tokens=9).cap is None


def test_no_cap_is_lowered_below_what_the_dialect_takes() -> None:
    thinking = {"type": "enabled", "budget_tokens": 2000}
    assert shape(MESSAGES, max_tokens=4000, messages=[], thinking=thinking).least == 2001
    assert shape(RESPONSES, input="x").least == 16
    assert shape(CHAT, messages=[]).least == 1


def test_other_kinds_of_answer() -> None:
    assert shape("/embeddings", input=["a", "b"]).cap == 0
    assert shape("/moderations", input="a").cap == 0
    made = shape("/images/generations", prompt="a cat", n=4)
    assert (made.cap, made.choices, made.settable) == (IMAGE_OUTPUT, 4, False)
    spoken = shape("/audio/speech", input="hello", voice="alloy")
    assert (spoken.cap, spoken.settable) == (None, False)


def form(*parts: tuple[str, str, bytes]) -> bytes:
    named = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n' % (name.encode(), more.encode(), value)
        for name, more, value in parts
    )
    return named + b"--b--\r\n"


def test_forms_are_weighed_by_their_fields_and_files() -> None:
    picture = ("image", '; filename="a.png"', b"\x89" * 5000)
    for path, *wanted in (("/images/edits", 1, None), ("/audio/transcriptions", 0, "file")):
        raw = form(("model", "", b"m"), ("prompt", "", b"a cat"), picture)
        body = read_body(ENDPOINTS[path], b"multipart/form-data; boundary=b", raw)
        found = shape_of(ENDPOINTS[path].dialect, body, raw)
        assert [found.images, found.unbounded] == wanted
        assert found.tokens < 100


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["type", "image_url", "url", "source", "data", "file_id", "content", "input", "x"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(json_values, st.sampled_from([CHAT, RESPONSES, MESSAGES]))
def test_whatever_stands_in_a_body_it_has_a_shape(value: Any, path: str) -> None:
    found = shape(path, messages=value, input=value, max_tokens=5, tools=value)
    assert found.tokens > 0
    assert found.images >= 0


TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"file_id": "file-1"}'}}
PLAIN: list[Any] = [
    "a text",
    ["some", "texts"],
    [[1, 2], [3]],
    said({"type": "text", "text": 'that says "file_id"'}),
    [{"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}, {"role": "tool", "tool_call_id": "call_1"}],
]
NOT_PLAIN: list[Any] = [
    said({"type": "text", "text": "marked", "cache_control": {"type": "ephemeral"}}),
    said({"type": "image_url", "image_url": {"url": DATA_URL}}),
    said("a part without a type"),
    [{"id": "msg_1"}],
    [{"role": "narrator", "content": "x"}],
    [{"role": "user", "content": "x", "audio": {"id": "audio_1"}}],
    [{"role": "assistant", "tool_calls": [{**TOOL_CALL, "type": "computer_call"}]}],
    {"role": "user", "content": "x"},
]


@pytest.mark.parametrize("talk", PLAIN)
def test_talk_that_is_nothing_but_text_is_not_looked_through(talk: Any) -> None:
    assert looked_through({"input": Raw(json.dumps(talk).encode()), "stop": Raw(b'["x"]'), "n": Raw(b"1")}) == ("stop",)


@pytest.mark.parametrize("talk", NOT_PLAIN)
def test_talk_with_anything_else_is_looked_through(talk: Any) -> None:
    assert looked_through({"messages": Raw(json.dumps(talk).encode()), "n": Raw(b"1")}) == ("messages",)


def test_a_second_value_of_a_field_does_not_hide_the_first() -> None:
    twice = b'[{"role": "user", "content": [{"type": "image_url"}], "content": "plain"}]'
    assert looked_through({"messages": Raw(twice)}) == ("messages",)


@pytest.mark.parametrize("around", ["x" * 10, "x" * 9_000, ":" * 3_000, "a: b, " * 2_000], ids=len)
def test_a_file_in_the_place_of_text_is_found_however_long_the_text(around: str) -> None:
    def unbounded(content: str) -> str | None:
        return shape(CHAT, messages=[{"role": "system", "content": content}]).unbounded

    assert unbounded(around + "fileid://file-1" + around) == "messages"
    assert unbounded(around) is None
