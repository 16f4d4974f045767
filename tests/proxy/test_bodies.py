"""Request bodies: what is read, what is refused, and what goes to the provider."""

from __future__ import annotations

import json

import pytest

from keyvault.domain.endpoints import ENDPOINTS, Dialect
from keyvault.errors import Refusal
from keyvault.proxy.dialects.body import Body, read_body
from keyvault.proxy.dialects.references import stored_reference

CHAT, COMPLETIONS, IMAGES = (ENDPOINTS[p] for p in ("/chat/completions", "/completions", "/images/generations"))
RESPONSES, MESSAGES, TRANSCRIPTIONS = (ENDPOINTS[p] for p in ("/responses", "/messages", "/audio/transcriptions"))
EDITS = ENDPOINTS["/images/edits"]
JSON = b"application/json"


def chat(body: bytes) -> Body:
    return read_body(CHAT, JSON, body)


def refused(body: bytes) -> Refusal:
    with pytest.raises(Refusal) as caught:
        chat(body)
    assert caught.value.status == 400
    return caught.value


def test_the_head_fields_are_read() -> None:
    body = chat(b'{"model":"gpt-5","stream":true,"n":3,"max_tokens":7,"stream_options":{"include_usage":true}}')
    assert (body.model, body.stream, body.choices, body.output_cap, body.include_usage) == ("gpt-5", True, 3, 7, True)


def test_null_head_fields_count_as_absent() -> None:
    body = chat(b'{"model":"m","stream":null,"n":null,"max_tokens":null,"stream_options":null}')
    assert (body.stream, body.choices, body.output_cap, body.include_usage) == (False, 1, None, False)


def test_values_keep_their_bytes_and_the_model_alone_changes() -> None:
    sent = b'{ "model" : "fast", "temperature": 1.0e0, "messages": [ {"content": "\\u00e9 \xc3\xa9"} ] }'
    assert chat(sent).rewritten("openai/gpt-5") == (
        b'{"model":"openai/gpt-5","temperature":1.0e0,"messages":[ {"content": "\\u00e9 \xc3\xa9"} ]}'
    )


def test_a_repeated_model_cannot_be_smuggled() -> None:
    body = chat(b'{"model":"cheap","mod\\u0065l":"dear","messages":[]}')
    assert body.model == "dear"
    assert json.loads(body.rewritten("target"), object_pairs_hook=list)[0] == ("model", "target")
    assert body.rewritten("target").count(b"model") == 1


@pytest.mark.parametrize("name", ["Model", "MODEL", "\u017ftream", "Stream_Options", "N", "Max_Tokens"])
def test_a_head_field_in_another_case_is_refused_since_some_parsers_ignore_case(name: str) -> None:
    refusal = refused(json.dumps({"model": "m", name: "dear"}).encode())
    assert (refusal.error_code, refusal.param) == ("unknown_parameter", name)


@pytest.mark.parametrize("name", ["api_key", "api_base", "base_url", "API_KEY", "Base_Url"])
def test_stray_credentials_and_addresses_are_dropped(name: str) -> None:
    sent = json.dumps({name: "sk-mine", "model": "m", "user": "u"}).encode()
    assert json.loads(chat(sent).rewritten("m")) == {"model": "m", "user": "u"}


def test_a_list_of_models_for_the_provider_to_choose_from_is_refused() -> None:
    assert refused(b'{"model":"m","models":["dear"]}').error_code == "unsupported_parameter"


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ('"model":7', "invalid_type", "model"),
        ('"model":["a"]', "invalid_type", "model"),
        ('"model":null', "missing_required_parameter", "model"),
        ('"model":""', "missing_required_parameter", "model"),
        ('"user":"u"', "missing_required_parameter", "model"),
        ('"model":"a\\u0000b"', "invalid_value", "model"),
        ('"model":"a\\u202eb"', "invalid_value", "model"),
        ('"model":"%s"' % ("x" * 201), "invalid_value", "model"),
        ('"model":"m","stream":"true"', "invalid_type", "stream"),
        ('"model":"m","stream":1', "invalid_type", "stream"),
        ('"model":"m","n":-1', "integer_below_min_value", "n"),
        ('"model":"m","n":0', "integer_below_min_value", "n"),
        ('"model":"m","n":1000000', "integer_above_max_value", "n"),
        ('"model":"m","n":%s' % ("9" * 5000), "integer_above_max_value", "n"),
        ('"model":"m","n":1.5', "invalid_type", "n"),
        ('"model":"m","n":true', "invalid_type", "n"),
        ('"model":"m","max_tokens":"7"', "invalid_type", "max_tokens"),
        ('"model":"m","max_tokens":1e3', "invalid_type", "max_tokens"),
        ('"model":"m","max_completion_tokens":-5', "integer_below_min_value", "max_completion_tokens"),
        ('"model":"m","stream_options":true', "invalid_type", "stream_options"),
        ('"model":"m","stream_options":{"include_usage":"yes"}', "invalid_type", "include_usage"),
    ],
)
def test_a_field_of_the_wrong_kind_is_named(fields: str, code: str, param: str) -> None:
    refusal = refused(b"{" + fields.encode() + b"}")
    assert (refusal.error_code, refusal.param, refusal.type) == (code, param, "invalid_request_error")


def test_the_words_are_those_of_the_api_itself() -> None:
    message = refused(b'{"model":7}').message
    assert message == "invalid type for 'model': expected a string, but got an integer instead"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'"model"',
        b"{",
        b'{"model":"m"',
        b'{"model":"m"}}',
        b'{"model":"m",}',
        b"{'model':'m'}",
        b'{"model":"m","x":NaN}',
        b'{"model":"m","x":Infinity}',
        b'{"model":"m","x":01}',
        b'\xef\xbb\xbf{"model":"m"}',
        '{"model":"m"}'.encode("utf-16"),
        b'{"model":"\\ud800"}',
        b'{"model":"m","x":"\\udc00 \\ud800"}',
        b'{"\\ud800":1,"model":"m"}',
        b'{"model":"m","x":"\xff"}',
        b'{"model":"m","\xff":1}',
        b'{"model":"m","x":"\n"}',
        b'{"model":"m","x":"\x00"}',
        b'{"model":"m","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"model":"m","x":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
        b'{"a":' * 5_000,
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_not_json_is_refused_with_400(body: bytes) -> None:
    refused(body)


def test_the_usage_option_is_added_beside_what_the_client_asked() -> None:
    plain = chat(b'{"model":"m","stream":true}').rewritten("t", add_usage=True)
    assert json.loads(plain) == {"model": "t", "stream": True, "stream_options": {"include_usage": True}}
    asked = chat(b'{"model":"m","stream":true,"stream_options":{"include_obfuscation":false,"include_usage":false}}')
    options = json.loads(asked.rewritten("t", add_usage=True))["stream_options"]
    assert options == {"include_obfuscation": False, "include_usage": True}


def test_the_output_cap_is_the_largest_given() -> None:
    assert chat(b'{"model":"m","max_tokens":5,"max_completion_tokens":9}').output_cap == 9
    assert read_body(RESPONSES, JSON, b'{"model":"m","max_output_tokens":11}').output_cap == 11
    assert read_body(MESSAGES, JSON, b'{"model":"m","max_tokens":12}').output_cap == 12


@pytest.mark.parametrize(
    ("fields", "choices"),
    [
        (b'"prompt":"a"', 1),
        (b'"prompt":["a","b","c"],"n":2', 6),
        (b'"prompt":[1,2,3],"n":2', 2),
        (b'"prompt":[[1,2],[3]],"best_of":5,"n":2', 10),
        (b'"prompt":[]', 1),
    ],
)
def test_completions_count_what_is_generated_for_each_prompt(fields: bytes, choices: int) -> None:
    assert read_body(COMPLETIONS, JSON, b'{"model":"m",' + fields + b"}").choices == choices


def test_images_may_name_no_model_and_are_given_one() -> None:
    body = read_body(IMAGES, JSON, b'{"prompt":"a cat","n":2}')
    assert (body.model, body.choices) == (None, 2)
    assert json.loads(body.rewritten(None)) == {"prompt": "a cat", "n": 2}
    assert json.loads(body.rewritten("dall-e-3"))["model"] == "dall-e-3"


def test_work_in_the_background_is_told() -> None:
    assert read_body(RESPONSES, JSON, b'{"model":"m","background":true}').background


def test_a_form_where_json_is_due_is_415() -> None:
    with pytest.raises(Refusal) as caught:
        read_body(CHAT, b"multipart/form-data; boundary=x", b"--x--")
    assert caught.value.status == 415


@pytest.mark.parametrize(
    ("content_type", "body", "model"),
    [
        (b"application/json", b'{"model":"m","x":1}', "m"),
        (b"application/json; charset=utf-8", b"", None),
        (b"application/json", b"[1,2]", None),
        (b"text/plain", b' {"model":"m"}', "m"),
        (b"application/octet-stream", b"{\x00\x01", None),
        (b"", b"", None),
    ],
)
def test_an_unknown_path_takes_anything_and_its_model_is_read_where_there_is_one(
    content_type: bytes, body: bytes, model: str | None
) -> None:
    read = read_body(None, content_type, body)
    assert read.model == model
    if model is None:
        assert read.rewritten(None) == body


# Forms


def part(name: str, value: bytes, more: str = "") -> bytes:
    return f'Content-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value


def form(*parts: bytes, boundary: bytes = b"b0") -> bytes:
    return b"".join(b"--%b\r\n%b\r\n" % (boundary, each) for each in parts) + b"--%b--\r\n" % boundary


AUDIO = part("file", b"RIFF\x00\r\n--b\r\n\xff", '; filename="a.wav"\r\nContent-Type: audio/wav')
MODEL = part("model", b"whisper-1")


def read_form(body: bytes, content_type: bytes = b"multipart/form-data; boundary=b0") -> Body:
    return read_body(TRANSCRIPTIONS, content_type, body)


def test_the_model_of_a_form_is_read_and_spliced_and_files_keep_their_bytes() -> None:
    sent = form(AUDIO, MODEL, part("stream", b"true"), part("language", b"de"))
    body = read_form(sent)
    assert (body.model, body.stream) == ("whisper-1", True)
    assert body.rewritten("large-v3") == sent.replace(b"whisper-1", b"large-v3")
    assert body.rewritten(None) == sent


def test_a_form_without_a_model_is_given_one_where_the_api_allows_that() -> None:
    body = read_body(EDITS, b"multipart/form-data; boundary=b0", form(part("prompt", b"p"), part("n", b"2")))
    assert (body.model, body.choices) == (None, 2)
    again = read_body(EDITS, b"multipart/form-data; boundary=b0", body.rewritten("gpt-image-1"))
    assert (again.model, again.choices) == ("gpt-image-1", 2)


def test_stray_credentials_are_cut_out_of_a_form() -> None:
    sent = form(part("api_key", b"sk-mine"), AUDIO, MODEL, part("Base_URL", b"http://x"))
    assert read_form(sent).rewritten(None) == form(AUDIO, MODEL)


@pytest.mark.parametrize(
    "content_type",
    [
        b'multipart/form-data; boundary="b0"',
        b"Multipart/Form-Data;BOUNDARY=b0",
        b"multipart/form-data; charset=utf-8; boundary=b0",
        b'multipart/form-data; boundary="b0" ; charset="utf-8"',
    ],
)
def test_boundaries_may_be_quoted(content_type: bytes) -> None:
    assert read_form(form(AUDIO, MODEL), content_type).model == "whisper-1"


@pytest.mark.parametrize("boundary", [b"=_?/:,+'()", b"----WebKitFormBoundary7MA4YWxkTrZu0gW", b"a b", b"x" * 70])
def test_boundaries_may_have_all_the_characters_there_are(boundary: bytes) -> None:
    content_type = b'multipart/form-data; boundary="' + boundary + b'"'
    assert read_form(form(MODEL, boundary=boundary), content_type).model == "whisper-1"


@pytest.mark.parametrize(
    "content_type",
    [
        b"multipart/form-data",
        b"multipart/form-data; boundary=",
        b'multipart/form-data; boundary=""',
        b"multipart/form-data; boundary=b0; boundary=b1",
        b"multipart/form-data; boundary=b0; nonsense",
        b'multipart/form-data; boundary="b0',
        b'multipart/form-data; boundary="b 0 "',
        b"multipart/form-data; boundary=" + b"x" * 71,
        b"multipart/form-data; boundary=b\xff",
    ],
)
def test_a_form_without_one_clear_boundary_is_refused(content_type: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        read_form(form(AUDIO, MODEL), content_type)
    assert (caught.value.status, caught.value.error_code) == (400, "invalid_form")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b0",
        b"--b0--",
        form(MODEL)[:-6],
        form(AUDIO),
        form(MODEL, MODEL),
        form(MODEL, part("model", b"dear")),
        form(MODEL, part("Model", b"dear")),
        form(MODEL, part("models", b"dear")),
        form(part("model", b"")),
        form(part("model", b"m" * 2000)),
        form(part("model", b"\xff")),
        form(part("model", b"m\r\nx")),
        form(part("model", b"m", '; filename="m"')),
        form(part("model", b"bQ==", "\r\nContent-Transfer-Encoding: base64")),
        form(part("model", b"m", "\r\nContent-Type: text/plain; charset=utf-16")),
        form(part("model", b"m", '; name="other"')),
        form(part("model", b"m", "; name*=utf-8''dear")),
        form(MODEL, part("x", b"y", '; filename="a\\"; name=\\"model"')),
        form(
            MODEL, b'Content-Disposition: form-data; name="x"\r\nContent-Disposition: form-data; name="model"\r\n\r\ny'
        ),
        form(MODEL, b'Content-Disposition: form-data;\r\n name="x"\r\n\r\ny'),
        form(MODEL, b"Content-Disposition: form-data\r\n\r\ny"),
        form(MODEL, b'Content-Disposition: attachment; name="x"\r\n\r\ny'),
        form(MODEL, b"\r\ny"),
        form(MODEL, b"no head"),
        form(MODEL, part("x", b"y--b0 z")),
        form(MODEL, part("x", b"y\n--b0\nz")),
        form(MODEL, part("x", b"y\r\n--b0x\r\nz")),
        form(MODEL, part(" model", b"dear")),
        b"preamble\r\n" + form(MODEL),
        form(MODEL) + b"epilogue",
        form(MODEL) + form(part("model", b"dear")),
        form(MODEL).replace(b"\r\n", b"\n"),
        form(MODEL, *[part("x", b"y")] * 128),
        form(MODEL, part("stream", b"maybe")),
        form(MODEL, part("n", b"-1")),
        form(MODEL, part("x" * 9000, b"y")),
    ],
    ids=lambda body: repr(body[-48:]),
)
def test_a_form_that_could_be_read_in_two_ways_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        read_form(body)
    assert caught.value.status == 400


def test_forms_of_the_official_sdk_are_read() -> None:
    import httpx2

    request = httpx2.Request(
        "POST",
        "http://x/",
        data={"model": "whisper-1", "timestamp_granularities[]": ["word", "segment"], "stream": "true"},
        files={"file": ('a "quoted" né.wav', b"RIFF" * 1000, "audio/wav")},
    )
    body = read_form(request.read(), request.headers["content-type"].encode())
    assert (body.model, body.stream) == ("whisper-1", True)


@pytest.mark.parametrize(
    "item",
    [
        '{"type":"input_file","file_id":"file-1","file_id":null}',
        '{"type":"input_file","file_id":null,"file_id":"file-1"}',
        '{"type":"item_reference","id":"rs_1","type":"message"}',
        '{"type":"x","file_ids":["file-1"],"file_ids":{}}',
        '{"id":"msg_1"}',
        '{"\\u0069d":"msg_1"}',
        '{"id":"msg_1","type":null,"role":null}',
        '{"id":"msg_1","type":null,"type":"message"}',
        '{"role":"user","content":"hi"},{"id":"msg_1","id":null}',
        '{"role":"user","content":"' + "long " * 9999 + '"},{"id":"msg_1"}',
        '{"type":"image_generation_call","id":"ig_1"}',
    ],
)
def test_a_reference_that_stands_twice_is_seen_either_way(item: str) -> None:
    body = read_body(ENDPOINTS["/responses"], b"application/json", f'{{"model":"m","input":[{item}]}}'.encode())
    assert stored_reference(Dialect.RESPONSES, body) is not None


@pytest.mark.parametrize(
    "item",
    [
        '{"id":"msg_1","type":"message","content":[]}',
        '{"id":"msg_1","type":null,"role":"user","content":"hi"}',
        '{"type":"function_call","call_id":"c","arguments":"{\\"id\\":1}"}',
        '{"type":"image_generation_call","id":"ig_1","result":"AAAA"}',
    ],
)
def test_an_item_that_says_what_it_is_refers_to_nothing(item: str) -> None:
    body = read_body(ENDPOINTS["/responses"], b"application/json", f'{{"model":"m","input":[{item}]}}'.encode())
    assert stored_reference(Dialect.RESPONSES, body) is None


def test_a_reference_nested_too_deeply_is_refused_in_words() -> None:
    nested = "[" * 700 + '{"file_id":{}}' + "]" * 700
    body = read_body(ENDPOINTS["/responses"], b"application/json", f'{{"model":"m","tools":{nested}}}'.encode())
    with pytest.raises(Refusal, match="nested too deeply"):
        stored_reference(Dialect.RESPONSES, body)
