"""Every log that can be replayed, line by line: what request is made of it, and what is known of its answer."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from keyvault.errors import NotFound, UsageError
from opsconsole.staging.asking import said
from opsconsole.staging.exchanges import Exchange, Unusable, read, read_file

CHAT = {"model": "fast", "messages": [{"role": "user", "content": "hello"}]}


def lines(*told: Any) -> bytes:
    return b"".join((each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n" for each in told)


def only(*told: Any) -> Exchange:
    [exchange] = read(io.BytesIO(lines(*told)))
    assert isinstance(exchange, Exchange), exchange
    return exchange


@pytest.mark.parametrize(
    ("line", "path", "body"),
    [
        (CHAT, "/chat/completions", CHAT),
        ({"id": "a", "task": "sum", "body": CHAT}, "/chat/completions", CHAT),
        ({"prompt": "hello"}, "/chat/completions", {"messages": [{"role": "user", "content": "hello"}]}),
        ({"path": "/v1/completions", "prompt": "hello"}, "/completions", {"prompt": "hello"}),
        ({"model": "m", "input": "hello"}, "/responses", {"model": "m", "input": "hello"}),
        ({"model": "text-embedding-3", "input": "x"}, "/embeddings", {"model": "text-embedding-3", "input": "x"}),
        ({"path": "/v1/messages", "body": CHAT}, "/messages", CHAT),
        ({"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": CHAT}, "/chat/completions", CHAT),
    ],
)
def test_lines_that_were_meant_to_be_sent(line: Any, path: str, body: Any) -> None:
    exchange = only(line)
    assert (exchange.path, json.loads(exchange.body)) == (path, body)
    assert exchange.recorded is None


def test_what_a_person_puts_beside_a_request_is_kept() -> None:
    exchange = only({"id": "q1", "task": "capital", "expected": {"exact": "Paris"}, **CHAT})
    assert (exchange.id, exchange.task, exchange.expected) == ("q1", "capital", {"exact": "Paris"})
    assert json.loads(exchange.body) == CHAT


def test_values_keep_their_bytes_whatever_field_is_set() -> None:
    exchange = only(b'{"model":"fast","messages":[],"temperature":1.0,"seed":12345678901234567890}')
    assert exchange.with_fields(model="smart", stream=True) == (
        b'{"messages":[],"temperature":1.0,"seed":12345678901234567890,"model":"smart","stream":true}'
    )


LITELLM = {
    "id": "chatcmpl-1",
    "call_type": "acompletion",
    "startTime": 1790000000.0,
    "completionStartTime": 1790000000.25,
    "endTime": 1790000001.5,
    "response_cost": 0.0000285,
    "prompt_tokens": 9,
    "completion_tokens": 4,
    "model": "gpt-5-mini",
    "model_group": "fast",
    "custom_llm_provider": "openai",
    "messages": [{"role": "user", "content": "hello"}],
    "model_parameters": {"temperature": 0.5},
    "response": {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]},
    "status": "success",
}


def test_litellms_standard_payload() -> None:
    exchange = only(LITELLM)
    assert json.loads(exchange.body) == {**CHAT, "temperature": 0.5}
    recorded = exchange.recorded
    assert recorded is not None
    assert (recorded.status, recorded.first_content_ms, recorded.total_ms) == (200, 250.0, 1500.0)
    assert (recorded.cost_pico, recorded.target) == (28_500_000, "openai/gpt-5-mini")
    assert recorded.usage is not None
    assert (recorded.usage.input, recorded.usage.output) == (9, 4)
    assert recorded.answer is not None
    assert said(exchange.path, recorded.answer).text == "hi"


def test_a_row_of_litellms_spend_logs_has_the_clients_own_body() -> None:
    row = {
        "request_id": "r-1",
        "call_type": "aresponses",
        "startTime": "2026-10-01T10:00:00.000Z",
        "endTime": "2026-10-01 10:00:02",
        "spend": "0.5",
        "proxy_server_request": json.dumps(
            {
                "model": "m",
                "input": "hello",
                "metadata": {"user_api_key": "x"},
                "api_key": "x",
                "extra_headers": {"a": "x"},
            }
        ),
        "messages": "{}",
    }
    exchange = only(row)
    assert (exchange.id, exchange.path) == ("r-1", "/responses")
    assert json.loads(exchange.body) == {"model": "m", "input": "hello"}
    assert exchange.recorded is not None
    assert (exchange.recorded.total_ms, exchange.recorded.cost_pico) == (2000.0, 5 * 10**11)


def test_an_access_log_of_nginx() -> None:
    exchange = only(
        {
            "time_iso8601": "2026-10-01T10:00:00+00:00",
            "request": "POST /v1/chat/completions?x=1 HTTP/1.1",
            "status": "429",
            "request_time": "0.532",
            "upstream_response_time": "0.100, 0.400",
            "request_body": json.dumps({**CHAT, "stream": True}),
            "upstream_header_time": "0.100, 0.250",
        }
    )
    assert (exchange.path, exchange.stream, exchange.model) == ("/chat/completions", True, "fast")
    assert exchange.recorded is not None
    assert (exchange.recorded.status, exchange.recorded.total_ms) == (429, 532.0)
    assert exchange.recorded.first_content_ms == 250.0


HOSTILE = [
    "x",
    -1,
    1.5,
    True,
    [],
    [1],
    {},
    {"a": 1},
    "nan",
    "inf",
    "1e999999",
    1e308,
    "http://[",
    "\x1b[31m",
    "[" * 9000,
]
SHAPED = [
    LITELLM,
    {
        "recorded": {"usage": {}},
        "response": {"status": 200, "headers": {}},
        "method": "POST",
        "path": "/v1/x",
        "body": CHAT,
    },
    {"request_body": json.dumps(CHAT), "uri": "/v1/chat/completions", "status": 200, "request_time": 1},
    {"custom_id": "1", "url": "/v1/chat/completions", "body": CHAT, "task": "t", "expected": {}},
    {"id": "1", "path": "/v1/chat/completions", "body": CHAT},
]


@pytest.mark.parametrize("line", SHAPED, ids=["litellm", "capture", "access log", "batch", "plain"])
def test_no_value_of_a_line_stops_the_reading(line: dict[str, Any]) -> None:
    """Whatever stands in a field of a log, and in a field of that."""
    told = [{**line, name: bad} for name in (*line, "usage", "stream", "spend") for bad in HOSTILE]
    for name, inner in line.items():
        if isinstance(inner, dict):
            told += [{**line, name: {**inner, below: bad}} for below in (*inner, "headers", "body") for bad in HOSTILE]
    for exchange in read(io.BytesIO(lines(*told, b'{"body":' + b"[" * 9000, b'{"id":"\\ud800","messages":[]}'))):
        assert exchange.line
        if isinstance(exchange, Exchange):
            assert isinstance(json.loads(exchange.body), dict)
            assert (exchange.model, exchange.stream) is not None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"not json", "not a JSON object"),
        (b"[1", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        ({"hello": "world"}, "no request body"),
        ({"body": "tr\u00fcb"}, "not a JSON object"),
        ({"body": {"x": 1}}, "name its path"),
        ({"url": "/v1/files", "body": CHAT}, "not an endpoint"),
        ({"path": "/v1/audio/transcriptions", "body": CHAT}, "a form cannot be sent again"),
        ({"custom_id": "1", "url": "/v1/chat/completions"}, "without its body"),
        ({**LITELLM, "messages": {}}, "not stored"),
        ({**LITELLM, "messages": [{"content": "redacted-by-litellm"}]}, "not stored"),
        ({**LITELLM, "call_type": "image_generation"}, "cannot be made again"),
        ({"request_body": "-", "uri": "/v1/chat/completions"}, "not logged"),
        ({"request_method": "GET", "request_body": "", "uri": "/v1/models"}, "has no body"),
        ({"request_body": '{"cut', "uri": "/v1/chat/completions"}, "not a JSON object"),
        ({"prompt": ["a", "b"]}, "not a text"),
    ],
)
def test_a_line_that_cannot_be_used_is_told_and_the_others_are_read(line: Any, reason: str) -> None:
    before, bad, after = read(io.BytesIO(lines(CHAT, line, CHAT)))
    assert isinstance(bad, Unusable)
    assert bad.line == 2
    assert reason in bad.reason
    assert isinstance(before, Exchange)
    assert isinstance(after, Exchange)


def test_ids_are_unique_and_the_same_each_time() -> None:
    data = lines({"id": "a", **CHAT}, {"id": "a", **CHAT}, CHAT, b"", CHAT)
    ids = [exchange.id for exchange in read(io.BytesIO(data)) if isinstance(exchange, Exchange)]
    assert ids == ["a", "a~2", "line-3", "line-5"]


def test_an_array_and_a_compressed_file_are_read_as_well(tmp_path: Path) -> None:
    plain, packed = tmp_path / "array.json", tmp_path / "lines.jsonl.gz"
    plain.write_text(json.dumps([CHAT, CHAT], indent=1))
    packed.write_bytes(gzip.compress(lines(CHAT, CHAT)))
    assert [type(each) for each in (*read_file(plain), *read_file(packed))] == [Exchange] * 4


def test_files_that_cannot_be_read_are_refused_with_a_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "x.gz"
    broken.write_bytes(gzip.compress(lines(CHAT))[:-9])
    (tmp_path / "array").write_text("[{")
    for path, error in [
        (tmp_path / "none", NotFound),
        (tmp_path, UsageError),
        (broken, UsageError),
        (tmp_path / "array", UsageError),
    ]:
        with pytest.raises(error):
            list(read_file(path))
