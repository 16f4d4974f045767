"""Errors: the official SDKs raise the right exception from ours; a provider's are read short and without secrets."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import anthropic
import httpx2
import openai
import pytest

from keyvault.domain.endpoints import Dialect, Family
from keyvault.errors import Refusal
from keyvault.proxy.dialects.errors import read_error, render, scrub, stream_error


def answering(status: int, body: bytes, content_type: str = "application/json") -> httpx2.Client:
    def answer(_: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": content_type, "x-request-id": "req-1", "request-id": "req-1"}
        return httpx2.Response(status, content=body, headers=headers)

    return httpx2.Client(transport=httpx2.MockTransport(answer))


def openai_client(status: int, body: bytes, content_type: str = "application/json") -> openai.OpenAI:
    http = answering(status, body, content_type)
    return openai.OpenAI(api_key="k", base_url="http://gateway/v1", max_retries=0, http_client=http)


def anthropic_client(status: int, body: bytes, content_type: str = "application/json") -> anthropic.Anthropic:
    http = answering(status, body, content_type)
    return anthropic.Anthropic(api_key="k", base_url="http://gateway", max_retries=0, http_client=http)


MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("status", "code", "exception", "kind"),
    [
        (400, "invalid_type", openai.BadRequestError, "invalid_request_error"),
        (401, "invalid_api_key", openai.AuthenticationError, "invalid_request_error"),
        (402, "insufficient_balance", openai.APIStatusError, "insufficient_quota"),
        (403, "endpoint_not_allowed", openai.PermissionDeniedError, "invalid_request_error"),
        (404, "model_not_found", openai.NotFoundError, "invalid_request_error"),
        (413, "body_too_large", openai.APIStatusError, "invalid_request_error"),
        (429, "rate_limit_exceeded", openai.RateLimitError, "rate_limit_error"),
        (500, "internal_error", openai.InternalServerError, "server_error"),
        (502, "connect_refused", openai.InternalServerError, "server_error"),
        (503, "unavailable", openai.InternalServerError, "server_error"),
        (504, "first_content_timeout", openai.InternalServerError, "server_error"),
    ],
)
def test_the_openai_sdk_raises_the_right_error(
    status: int, code: str, exception: type[openai.APIStatusError], kind: str
) -> None:
    body = render(Family.OPENAI, Refusal(status, code, 'no such "thing" é', param="model"), "req-1")
    with pytest.raises(exception) as caught:
        openai_client(status, body).chat.completions.create(model="m", messages=MESSAGES)
    error = caught.value
    assert (error.code, error.type, error.param, error.request_id) == (code, kind, "model", "req-1")
    assert error.message == f'Error code: {status} - no such "thing" é'


@pytest.mark.parametrize(
    ("status", "exception", "kind"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (401, anthropic.AuthenticationError, "authentication_error"),
        (402, anthropic.APIStatusError, "billing_error"),
        (403, anthropic.PermissionDeniedError, "permission_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
        (413, anthropic.APIStatusError, "request_too_large"),
        (415, anthropic.APIStatusError, "invalid_request_error"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (502, anthropic.InternalServerError, "api_error"),
        (503, anthropic.InternalServerError, "overloaded_error"),
        (504, anthropic.InternalServerError, "timeout_error"),
    ],
)
def test_the_anthropic_sdk_raises_the_right_error(
    status: int, exception: type[anthropic.APIStatusError], kind: str
) -> None:
    body = render(Family.ANTHROPIC, Refusal(status, "our_code", "what is wrong"), "req-1")
    with pytest.raises(exception) as caught:
        anthropic_client(status, body).messages.create(model="m", max_tokens=5, messages=MESSAGES)
    error = caught.value
    assert (error.type, error.api_message, error.error_code) == (kind, "what is wrong", "our_code")
    assert (json.loads(body)["request_id"], error.request_id) == ("req-1", "req-1")


def test_a_type_said_by_the_refusal_is_kept() -> None:
    refusal = Refusal(401, "invalid_api_key", "no", type="authentication_error")
    assert json.loads(render(Family.OPENAI, refusal, "r")) == {
        "error": {"message": "no", "type": "authentication_error", "param": None, "code": "invalid_api_key"}
    }


SSE = "text/event-stream"


def test_a_chat_stream_that_breaks_raises_in_the_openai_sdk() -> None:
    first = b'data: {"id":"1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    body = first + stream_error(Dialect.CHAT, "connection_lost", "the provider went away")
    stream = openai_client(200, body, SSE).chat.completions.create(model="m", messages=MESSAGES, stream=True)
    assert next(stream).choices[0].delta.content == "a"
    with pytest.raises(openai.APIError, match="the provider went away") as caught:
        next(stream)
    assert (caught.value.code, caught.value.type) == ("connection_lost", "server_error")


def test_a_response_stream_that_breaks_raises_in_the_openai_sdk() -> None:
    body = stream_error(Dialect.RESPONSES, "idle_timeout", "nothing received")
    stream = openai_client(200, body, SSE).responses.create(model="m", input="hi", stream=True)
    with pytest.raises(openai.APIError, match="nothing received") as caught:
        next(iter(stream))
    assert caught.value.code == "idle_timeout"


def test_a_message_stream_that_breaks_raises_in_the_anthropic_sdk() -> None:
    body = stream_error(Dialect.MESSAGES, "idle_timeout", "nothing received", "req-1")
    stream = anthropic_client(200, body, SSE).messages.create(model="m", max_tokens=5, messages=MESSAGES, stream=True)
    with pytest.raises(anthropic.APIStatusError) as caught:
        next(iter(stream))
    assert (caught.value.type, caught.value.api_message) == ("timeout_error", "nothing received")
    assert caught.value.error_code == "idle_timeout"


@pytest.mark.parametrize("dialect", list(Dialect))
def test_no_message_can_end_the_event_it_is_in(dialect: Dialect) -> None:
    event = stream_error(dialect, "c", "a\n\ndata: [DONE]\r\n\r\nb")
    assert event.count(b"\n\n") == 1
    assert b"\r" not in event


# What a provider says


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (
            '{"error":{"message":"No such model","type":"invalid_request_error","code":"model_not_found"}}',
            ("model_not_found", "No such model"),
        ),
        ('{"error":{"message":"Busy","type":"server_error","code":null}}', ("server_error", "Busy")),
        ('{"error":{"message":"Rate limited","code":429}}', ("429", "Rate limited")),
        (
            '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}',
            ("overloaded_error", "Overloaded"),
        ),
        (
            '[{"error":{"code":400,"message":"API key not valid","status":"INVALID_ARGUMENT"}}]',
            ("INVALID_ARGUMENT", "API key not valid"),
        ),
        ('{"object":"error","message":"Bad model","type":"invalid_model","code":"1500"}', ("1500", "Bad model")),
        ('{"error":"model \'x\' not found"}', ("", "model 'x' not found")),
        ('{"message":"no route","code":"E1"}', ("E1", "no route")),
        ('{"detail":"Not Found"}', ("", "Not Found")),
        ('{"detail":[{"loc":["body"],"msg":"field required","type":"missing"}]}', ("missing", "field required")),
        (
            "<html><head><style>b{}</style></head><body><h1>502</h1> Bad\n gateway</body></html>",
            ("", "502 Bad gateway"),
        ),
        ("", ("", "")),
        ("null", ("", "None")),
        ("[]", ("", "[]")),
        ('{"error":{}}', ("", '{"error":{}}')),
        ('{"error":{"message":{"a":1},"code":{"b":2}}}', ("", '{"message":{"a":1},"code":{"b":2}}')),
        ("\x1b[31mred\x00\u202e", ("", "[31mred")),
    ],
)
def test_a_providers_error_is_read_in_each_shape(body: str, read: tuple[str, str]) -> None:
    assert read_error(body.encode()) == read


def test_what_is_recorded_is_one_short_line() -> None:
    code, text = read_error(json.dumps({"error": {"message": "a\nb " * 10_000, "code": "c" * 1000}}).encode())
    assert len(code) <= 64
    assert len(text) == 300
    assert "\n" not in text


@pytest.mark.parametrize("body", [b"\xff\xfe", b"{", b"[" * 100_000, b'{"error":' * 20_000, b"x" * 1_000_000])
def test_no_error_body_is_too_odd_to_read(body: bytes) -> None:
    assert len(read_error(body)[1]) <= 300


@pytest.mark.parametrize(
    "token",
    [
        "sk-proj-abcDEF123456",
        "sk-ant-api03-abcDEF-123456",
        "sk-abcd****************************wxyz",
        "sk-gw_live_000000000000_0000000000000000",
        "gsk_abcDEF123456",
        "xai-abcDEF123456",
        "hf_abcDEF123456",
        "AIzaSyA1234567890abcdefghijklmnopqrstuvw",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    ],
)
def test_what_looks_like_a_token_is_masked(token: str) -> None:
    body = json.dumps({"error": {"message": f"Incorrect API key provided: {token}. Find yours.", "code": token}})
    code, text = read_error(body.encode())
    assert token not in text + code
    assert text.startswith("Incorrect API key provided: ***")


def test_ordinary_words_and_ids_are_not_masked() -> None:
    message = "Rate limit reached for gpt-5-mini in organization org-123 (req_011CS7abc): Limit 500, used 500"
    assert read_error(json.dumps({"message": message}).encode())[1] == message


SECRET = 'odd"secret/ +é'


@pytest.mark.parametrize(
    "shown",
    [
        SECRET.encode(),
        json.dumps(SECRET, ensure_ascii=False).encode(),
        quote(SECRET, safe="").encode(),
        base64.b64encode(SECRET.encode()),
        b"Authorization: Bearer " + SECRET.encode(),
    ],
)
def test_the_credential_is_scrubbed_in_every_form_it_may_come_back_in(shown: bytes) -> None:
    scrubbed = scrub(b"<<" + shown + b">>", [SECRET])
    assert b"***" in scrubbed
    assert "odd" not in scrubbed.decode()
    assert shown.rstrip(b"=") not in scrubbed
    assert SECRET not in read_error(b'{"message":"' + shown + b'"}', [SECRET])[1]


def test_a_body_without_the_credential_is_left_alone() -> None:
    body = b'{"error":{"message":"no"}}'
    assert scrub(body, [SECRET, ""]) is body


def test_a_body_that_is_nothing_but_the_credential_is_masked_and_one_shorter_is_not_it() -> None:
    assert scrub(SECRET.encode(), [SECRET]) == b"***"
    assert scrub(SECRET.encode()[:-1], [SECRET]) == SECRET.encode()[:-1]
