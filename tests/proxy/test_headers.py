"""Headers: what passes in each direction, and that nothing can be injected."""

from __future__ import annotations

import pytest

from keyvault.errors import Refusal
from keyvault.proxy.headers import TABLE, Action, Headers, provider_request_id, to_client, to_provider

SDK: Headers = [
    (b"host", b"127.0.0.1:8900"),
    (b"accept-encoding", b"gzip, deflate, br"),
    (b"connection", b"keep-alive"),
    (b"accept", b"application/json"),
    (b"content-type", b"application/json"),
    (b"user-agent", b"OpenAI/Python 3.54.0"),
    (b"x-stainless-lang", b"python"),
    (b"x-stainless-retry-count", b"0"),
    (b"authorization", b"Bearer sk-gw_live_client"),
    (b"content-length", b"123"),
]
AUTH = [(b"authorization", b"Bearer sk-upstream")]


def sent(headers: Headers, *, method: str = "POST", path: str = "/v1/chat/completions", **extra: str) -> bytes:
    return to_provider(
        method,
        path,
        headers,
        host=b"api.openai.com",
        auth=AUTH,
        extra={name.replace("_", "-"): value for name, value in extra.items()},
        request_id="01J-1",
        content_length=55 if method == "POST" else 0,
    )


def test_an_sdk_request_goes_out_with_the_upstreams_credential_and_nothing_of_the_clients() -> None:
    assert sent(SDK) == (
        b"POST /v1/chat/completions HTTP/1.1\r\n"
        b"host: api.openai.com\r\n"
        b"accept: application/json\r\n"
        b"content-type: application/json\r\n"
        b"user-agent: OpenAI/Python 3.54.0\r\n"
        b"authorization: Bearer sk-upstream\r\n"
        b"content-length: 55\r\n"
        b"accept-encoding: identity\r\n"
        b"x-client-request-id: 01J-1\r\n"
        b"\r\n"
    )


@pytest.mark.parametrize(
    "name",
    [
        "authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "proxy-authorization", "host", "expect",
        "openai-organization", "openai-project", "anthropic-workspace-id", "idempotency-key", "x-forwarded-for",
        "forwarded", "via", "x-real-ip", "x-stainless-os", "x-gateway-pin", "x-client-request-id", "x-request-id",
        "transfer-encoding", "te", "trailer", "upgrade", "keep-alive", "content-encoding", "traceparent",
        "helicone-auth", "x-portkey-custom-host", "cf-aig-authorization", "x-anything-else",
    ],
)  # fmt: skip
def test_what_is_the_clients_own_does_not_reach_the_provider(name: str) -> None:
    assert b"canary" not in sent([(name.encode(), b"canary")])


@pytest.mark.parametrize(
    "name", ["anthropic-beta", "anthropic-version", "openai-beta", "accept", "http-referer", "range"]
)
def test_what_the_api_understands_reaches_the_provider(name: str) -> None:
    assert f"\r\n{name}: canary\r\n".encode() in sent([(name.encode(), b"canary")])


def test_lists_keep_all_their_lines_and_single_headers_may_not_be_repeated() -> None:
    assert sent([(b"anthropic-beta", b"a"), (b"anthropic-beta", b"b")]).count(b"anthropic-beta") == 2
    with pytest.raises(Refusal, match="content-type is there twice"):
        sent([(b"content-type", b"application/json"), (b"content-type", b"text/plain")])


def test_names_listed_in_connection_are_hop_by_hop() -> None:
    head = sent([(b"connection", b"close, Anthropic-Beta"), (b"anthropic-beta", b"x"), (b"openai-beta", b"y")])
    assert b"anthropic-beta" not in head
    assert b"openai-beta: y" in head


def test_the_upstreams_own_headers_yield_to_the_clients() -> None:
    assert b"anthropic-version: 2023-06-01" in sent([], anthropic_version="2023-06-01")
    head = sent([(b"anthropic-version", b"2099-01-01")], anthropic_version="2023-06-01")
    assert head.count(b"anthropic-version") == 1
    assert b"anthropic-version: 2099-01-01" in head


def test_a_request_without_a_body_says_no_length() -> None:
    assert b"content-length" not in sent([], method="GET")


@pytest.mark.parametrize("value", [b"a\r\nx-evil: 1", b"a\nb", b"a\rb", b"a\0b"])
def test_no_value_can_bring_another_header(value: bytes) -> None:
    with pytest.raises(Refusal):
        sent([(b"accept", value)])
    assert to_client([(b"content-type", value)]) == []


@pytest.mark.parametrize("path", ["/v1/x y", "/v1/x\r\nhost: evil", "/v1/x HTTP/1.1\r\n\r\nGET /", "/v1/é"])
def test_no_path_can_bring_another_request(path: str) -> None:
    with pytest.raises(Refusal):
        sent([], path=path)


@pytest.mark.parametrize(
    "name",
    [
        "set-cookie", "connection", "keep-alive", "transfer-encoding", "content-length", "openai-organization",
        "anthropic-organization-id", "x-ratelimit-remaining-tokens", "anthropic-ratelimit-requests-limit", "cf-ray",
        "cf-cache-status", "alt-svc", "strict-transport-security", "server", "via", "location", "x-request-id",
        "request-id", "openai-version", "x-ms-region", "x-anything-else",
    ],
)  # fmt: skip
def test_what_is_the_operators_own_does_not_reach_the_client(name: str) -> None:
    assert to_client([(name.encode(), b"canary")]) == []


def test_what_describes_the_answer_reaches_the_client() -> None:
    answer = [(b"content-type", b"text/event-stream"), (b"retry-after", b"7"), (b"x-should-retry", b"false")]
    assert to_client([*answer, (b"server", b"cloudflare")]) == answer


def test_a_header_that_echoes_the_credential_is_left_out() -> None:
    answer = [(b"content-disposition", b"attachment; filename=sk-upstream"), (b"content-type", b"text/plain")]
    assert to_client(answer, ["sk-upstream"]) == [(b"content-type", b"text/plain")]


def test_the_providers_request_id_is_found_under_each_name() -> None:
    assert provider_request_id([(b"cf-ray", b"r"), (b"x-request-id", b"req_1")]) == "req_1"
    assert provider_request_id([(b"request-id", b"req_2")]) == "req_2"
    assert provider_request_id([(b"apim-request-id", b"a\x1b[31m")]) is None
    assert provider_request_id([]) is None


def test_every_header_stands_in_the_table_once_a_direction_with_its_reason() -> None:
    names = [name for rule in TABLE for name in rule.names]
    assert len(names) == len(set(names))
    assert all(rule.why for rule in TABLE)
    forwarded = {name for rule in TABLE if Action.FORWARDED in (rule.request, rule.answer) for name in rule.names}
    assert not any("*" in name or " " in name for name in forwarded), "only plain names can be forwarded"
