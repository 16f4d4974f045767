"""Usage of every provider, as its answers really look, in one convention; and odd values, which are unknown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from keyvault.domain.endpoints import Dialect
from keyvault.domain.ledger import Basis, Usage
from keyvault.proxy.dialects.meter import read_answer

CHAT_ANSWERS: list[tuple[str, dict[str, Any], Usage]] = [
    (
        "openai, with cache and reasoning",
        {
            "usage": {
                "prompt_tokens": 2006,
                "completion_tokens": 300,
                "total_tokens": 2306,
                "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
                "completion_tokens_details": {
                    "reasoning_tokens": 192,
                    "audio_tokens": 0,
                    "accepted_prediction_tokens": 0,
                    "rejected_prediction_tokens": 0,
                },
            }
        },
        Usage(2006, 1920, None, None, 300, 192, 0, 0),
    ),
    (
        "openai, spoken",
        {
            "usage": {
                "prompt_tokens": 120,
                "completion_tokens": 90,
                "total_tokens": 210,
                "prompt_tokens_details": {"audio_tokens": 100, "cached_tokens": 0, "text_tokens": 20},
                "completion_tokens_details": {"audio_tokens": 70, "reasoning_tokens": 0, "text_tokens": 20},
            }
        },
        Usage(120, 0, None, None, 90, 0, 100, 70),
    ),
    (
        "openrouter, which tells what it wrote to a cache",
        {
            "usage": {
                "prompt_tokens": 1000,
                "completion_tokens": 10,
                "total_tokens": 1010,
                "cost": 0.0012,
                "is_byok": False,
                "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 800},
                "completion_tokens_details": {"reasoning_tokens": 0},
            }
        },
        Usage(1000, 100, 800, None, 10, 0),
    ),
    (
        "deepseek",
        {
            "usage": {
                "prompt_tokens": 100,
                "completion_tokens": 20,
                "total_tokens": 120,
                "prompt_cache_hit_tokens": 64,
                "prompt_cache_miss_tokens": 36,
                "completion_tokens_details": {"reasoning_tokens": 5},
            }
        },
        Usage(100, 64, None, None, 20, 5),
    ),
    (
        "groq",
        {
            "usage": {
                "queue_time": 0.018,
                "prompt_tokens": 18,
                "prompt_time": 0.0008,
                "completion_tokens": 556,
                "completion_time": 0.46,
                "total_tokens": 574,
                "total_time": 0.46,
            },
            "x_groq": {"id": "req_01"},
        },
        Usage(18, None, None, None, 556),
    ),
    (
        "xai, whose completion leaves the reasoning out",
        {
            "usage": {
                "prompt_tokens": 10120,
                "completion_tokens": 1499,
                "total_tokens": 14428,
                "prompt_tokens_details": {"cached_tokens": 128},
                "completion_tokens_details": {"reasoning_tokens": 2809},
            }
        },
        Usage(10120, 128, None, None, 4308, 2809),
    ),
    (
        "gemini, whose thoughts are in the total alone",
        {"usage": {"completion_tokens": 3, "prompt_tokens": 9, "total_tokens": 105}},
        Usage(9, None, None, None, 96, 93),
    ),
    (
        "mistral",
        {"usage": {"prompt_tokens": 13, "completion_tokens": 7, "total_tokens": 20, "prompt_audio_seconds": None}},
        Usage(13, None, None, None, 7),
    ),
    (
        "moonshot",
        {"usage": {"prompt_tokens": 19, "completion_tokens": 21, "total_tokens": 40, "cached_tokens": 10}},
        Usage(19, 10, None, None, 21),
    ),
    (
        "llama.cpp, whose cache stands in its timings",
        {
            "usage": {"prompt_tokens": 30, "completion_tokens": 8, "total_tokens": 38},
            "timings": {"cache_n": 20, "prompt_n": 10, "predicted_n": 8, "predicted_ms": 12.5},
        },
        Usage(30, 20, None, None, 8),
    ),
    (
        "llama.cpp with timings alone",
        {"timings": {"cache_n": 20, "prompt_n": 10, "predicted_n": 8}},
        Usage(30, 20, None, None, 8),
    ),
    (
        "perplexity",
        {
            "usage": {
                "prompt_tokens": 14,
                "completion_tokens": 250,
                "total_tokens": 264,
                "search_context_size": "low",
                "cost": {"total_cost": 0.005},
            }
        },
        Usage(14, None, None, None, 250),
    ),
]


def answer(dialect: Dialect, fields: dict[str, Any]) -> tuple[Usage, Basis]:
    metered = read_answer(dialect, 200, json.dumps({"id": "x", **fields}).encode())
    return metered.usage, metered.basis


@pytest.mark.parametrize(("fields", "usage"), [row[1:] for row in CHAT_ANSWERS], ids=[row[0] for row in CHAT_ANSWERS])
def test_chat_completions_of_each_provider(fields: dict[str, Any], usage: Usage) -> None:
    assert answer(Dialect.CHAT, fields) == (usage, Basis.PROVIDER)


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        (
            {
                "input_tokens": 20,
                "cache_creation_input_tokens": 1000,
                "cache_read_input_tokens": 5000,
                "cache_creation": {"ephemeral_5m_input_tokens": 400, "ephemeral_1h_input_tokens": 600},
                "output_tokens": 50,
                "output_tokens_details": {"thinking_tokens": 30},
                "service_tier": "standard",
            },
            Usage(6020, 5000, 400, 600, 50, 30),
        ),
        ({"input_tokens": 20, "output_tokens": 50}, Usage(20, None, None, None, 50)),
        (
            {"input_tokens": 20, "cache_creation_input_tokens": 7, "cache_read_input_tokens": 0, "output_tokens": 5},
            Usage(27, 0, 7, None, 5),
        ),
        (
            {"input_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 9}, "output_tokens": 2},
            Usage(10, None, 0, 9, 2),
        ),
    ],
)
def test_messages_are_brought_to_the_convention_that_input_includes_the_cache(
    told: dict[str, Any], usage: Usage
) -> None:
    assert answer(Dialect.MESSAGES, {"type": "message", "usage": told}) == (usage, Basis.PROVIDER)


def test_counting_tokens_uses_none() -> None:
    assert answer(Dialect.MESSAGES, {"input_tokens": 2095}) == (Usage(input=0, output=0), Basis.PROVIDER)


def test_responses() -> None:
    told = {
        "input_tokens": 328,
        "input_tokens_details": {"cached_tokens": 300, "cache_write_tokens": 4},
        "output_tokens": 52,
        "output_tokens_details": {"reasoning_tokens": 40},
        "total_tokens": 380,
    }
    usage = Usage(328, 300, 4, None, 52, 40)
    assert answer(Dialect.RESPONSES, {"status": "completed", "usage": told}) == (usage, Basis.PROVIDER)


def test_embeddings_produce_no_output() -> None:
    told = {"object": "list", "data": [{"embedding": [0.1]}], "usage": {"prompt_tokens": 8, "total_tokens": 8}}
    assert answer(Dialect.EMBEDDINGS, told) == (Usage(input=8, output=0), Basis.PROVIDER)


def test_images_count_tokens_and_images_or_images_alone() -> None:
    told = {
        "data": [{"b64_json": "aaaa"}, {"b64_json": "bbbb"}],
        "usage": {
            "input_tokens": 50,
            "output_tokens": 4160,
            "total_tokens": 4210,
            "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
        },
    }
    assert answer(Dialect.IMAGES, told) == (Usage(input=50, output=4160, images=2), Basis.PROVIDER)
    assert answer(Dialect.IMAGES, {"data": [{"url": "https://x"}]}) == (Usage(images=1), Basis.PROVIDER)
    told["usage"]["input_tokens_details"] = {"cached_tokens": 30, "cache_write_tokens": 10, "audio_tokens": 5}
    whole = Usage(input=50, cached_input=30, cache_write=10, audio_input=5, output=4160, images=2)
    assert answer(Dialect.IMAGES, told)[0] == whole


def test_transcriptions_tell_tokens_or_seconds() -> None:
    tokens = {
        "type": "tokens",
        "input_tokens": 14,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
        "output_tokens": 45,
        "total_tokens": 59,
    }
    assert answer(Dialect.AUDIO, {"text": "hello", "usage": tokens}) == (
        Usage(input=14, output=45, audio_input=14),
        Basis.PROVIDER,
    )
    seconds = {"text": "hello", "usage": {"type": "duration", "seconds": 8.47}}
    assert answer(Dialect.AUDIO, seconds) == (Usage(), Basis.UNKNOWN)


def test_answers_without_usage_are_unknown() -> None:
    assert answer(Dialect.MODERATIONS, {"results": [{"flagged": False}]}) == (Usage(), Basis.UNKNOWN)
    assert read_answer(Dialect.AUDIO, 200, b"ID3\x04\x00\xff").basis is Basis.UNKNOWN
    assert read_answer(Dialect.AUDIO, 200, b"1\n00:00:00,000 --> 00:00:01,000\nhello").basis is Basis.UNKNOWN
    assert answer(Dialect.OTHER, {"object": "file", "bytes": 120}) == (Usage(), Basis.UNKNOWN)


def test_an_unknown_path_is_metered_where_its_answer_has_a_usage() -> None:
    assert answer(Dialect.OTHER, {"usage": {"prompt_tokens": 3, "completion_tokens": 4}})[0] == Usage(input=3, output=4)
    anthropic = {"usage": {"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": 5}}
    assert answer(Dialect.OTHER, anthropic)[0] == Usage(input=8, cached_input=5, output=4)


ODD = [None, -1, 1.5, 12.0, "12", True, [], {}, 10**10, 10**30, float("1e300")]


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize("dialect", list(Dialect))
def test_an_odd_count_is_unknown_and_never_zero(dialect: Dialect, odd: object) -> None:
    for names in (("prompt_tokens", "completion_tokens"), ("input_tokens", "output_tokens")):
        usage, basis = answer(dialect, {"usage": {names[0]: odd, names[1]: odd, "total_tokens": odd}})
        assert usage.input is None
        assert usage.output in (None, 0)
        assert usage.output is None or dialect is Dialect.EMBEDDINGS
        assert basis is Basis.UNKNOWN


@pytest.mark.parametrize("odd", [*ODD, 999], ids=repr)
def test_an_odd_detail_is_unknown_and_leaves_the_counts_alone(odd: object) -> None:
    told = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": odd,
        "prompt_tokens_details": {"cached_tokens": odd, "audio_tokens": odd},
        "completion_tokens_details": {"reasoning_tokens": odd},
    }
    usage, basis = answer(Dialect.CHAT, {"usage": told})
    assert (usage.input, usage.cached_input, usage.audio_input, basis) == (10, None, None, Basis.PROVIDER)


@pytest.mark.parametrize("odd", [None, 7, "x", [], {}, [{}], True], ids=repr)
@pytest.mark.parametrize("dialect", list(Dialect))
def test_an_odd_usage_object_is_unknown(dialect: Dialect, odd: object) -> None:
    fields = {"usage": odd, "x_groq": odd, "timings": odd, "data": odd, "choices": odd, "input_tokens": "x"}
    usage, basis = answer(dialect, fields)
    assert (usage.input, basis) == (None, Basis.PROVIDER if usage.images is not None else Basis.UNKNOWN)


def test_an_answer_without_a_known_count_brings_its_text_to_be_counted() -> None:
    message = {
        "role": "assistant",
        "content": 'Grüße, "Welt"\n',
        "tool_calls": [{"function": {"arguments": '{"a":1}'}}],
    }
    metered = read_answer(Dialect.CHAT, 200, json.dumps({"choices": [{"message": message}], "usage": None}).encode())
    assert metered.produced == 'Grüße, "Welt"\n{"a":1}'


def test_of_a_large_answer_the_end_is_enough() -> None:
    whole = json.dumps(
        {"data": [{"b64_json": "x" * 10_000}], "usage": {"input_tokens": 5, "output_tokens": 6}}
    ).encode()
    metered = read_answer(Dialect.IMAGES, 200, whole[-200:])
    assert (metered.usage, metered.basis) == (Usage(input=5, output=6), Basis.PROVIDER)
    assert read_answer(Dialect.CHAT, 200, b'..."usage":').basis is Basis.UNKNOWN
    assert read_answer(Dialect.CHAT, 200, b'..."usage": {"prompt').basis is Basis.UNKNOWN


@pytest.mark.parametrize(
    "fields",
    [{"error": {"message": "overloaded", "code": 502}}, {"object": "error", "message": "overloaded", "code": 502}],
)
def test_an_error_in_an_answer_of_status_200_is_an_error(fields: dict[str, Any]) -> None:
    assert read_answer(Dialect.CHAT, 200, json.dumps(fields).encode()).error == ("502", "overloaded")


def test_a_failed_response_is_an_error_and_a_good_one_is_not() -> None:
    failed = {"status": "failed", "error": {"code": "server_error", "message": "try again"}, "usage": None}
    assert read_answer(Dialect.RESPONSES, 200, json.dumps(failed).encode()).error == ("server_error", "try again")
    assert read_answer(Dialect.RESPONSES, 200, b'{"status":"completed","error":null}').error is None


def test_the_providers_request_id_comes_from_its_headers_or_else_from_the_body() -> None:
    body = b'{"id":"chatcmpl-1"}'
    assert read_answer(Dialect.CHAT, 200, body, [(b"x-request-id", b"req_1")]).provider_request_id == "req_1"
    assert read_answer(Dialect.CHAT, 200, body).provider_request_id == "chatcmpl-1"
