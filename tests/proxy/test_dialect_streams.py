"""Meters beside streams: first content, usage, ends, errors, and the text of a stream that was cut."""

from __future__ import annotations

import json
from typing import Any

import pytest

from keyvault.domain.endpoints import Dialect
from keyvault.domain.ledger import Basis, Usage
from keyvault.proxy.dialects.meter import StreamMeter, Verdict, stream_meter

PASS, CONTENT, DROP, TERMINAL, ERROR, BROKEN, _ = Verdict
DONE = b"data: [DONE]\n\n"


def data(value: object, *, spaced: bool = False) -> bytes:
    separators = (", ", ": ") if spaced else (",", ":")
    return b"data: " + json.dumps(value, separators=separators).encode() + b"\n\n"


def chunk(delta: dict[str, Any] | None = None, *, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": choices,
        **more,
    }


def named(kind: str, **fields: Any) -> bytes:
    return b"event: %b\n" % kind.encode() + data({"type": kind, **fields})


def verdicts(meter: StreamMeter, events: list[bytes]) -> list[Verdict]:
    return [meter.feed(event) for event in events]


TOLD = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
COUNTED = Usage(input=5, output=7)


# Chat completions


def test_a_chat_stream_from_role_to_done() -> None:
    meter = stream_meter(Dialect.CHAT, drop_usage=True)
    events = [
        data(chunk({"role": "assistant", "content": ""}, usage=None)),
        data(chunk({"content": "Hel"}, usage=None)),
        data(chunk({"content": "lo"}, usage=None)),
        data(chunk({}, finish="stop", usage=None)),
        data(chunk(usage=TOLD)),
        DONE,
    ]
    assert verdicts(meter, events) == [PASS, CONTENT, PASS, PASS, DROP, TERMINAL]
    metered = meter.metered()
    assert (metered.usage, metered.basis, metered.complete, metered.produced) == (COUNTED, Basis.PROVIDER, True, "")
    assert metered.provider_request_id == "chatcmpl-1"


def test_the_usage_event_passes_when_the_client_asked_for_it() -> None:
    meter = stream_meter(Dialect.CHAT, drop_usage=False)
    assert verdicts(meter, [data(chunk({"content": "a"})), data(chunk(usage=TOLD))]) == [CONTENT, PASS]
    assert meter.metered().usage == COUNTED


def test_usage_beside_choices_is_never_dropped_and_the_last_one_counts() -> None:
    meter = stream_meter(Dialect.CHAT, drop_usage=True)
    growing = [
        data(chunk({"content": "x"}, usage={"prompt_tokens": 9, "completion_tokens": n, "total_tokens": 9 + n}))
        for n in (1, 2, 3)
    ]
    last = data(chunk({}, finish="stop", usage={"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}))
    assert verdicts(meter, [*growing, last, DONE]) == [CONTENT, PASS, PASS, PASS, TERMINAL]
    assert meter.metered().usage == Usage(input=9, output=4)


@pytest.mark.parametrize("delta", [None, {"content": "z"}], ids=["no choices", "another beginning"])
def test_a_usage_told_beside_choices_outlives_an_event_that_tells_none(delta: dict[str, Any] | None) -> None:
    meter = stream_meter(Dialect.CHAT, drop_usage=True)
    events = [data(chunk({"content": "x"})), data(chunk({"content": "y"}, usage=TOLD))]
    assert verdicts(meter, [*events, data({**chunk(delta), "id": "2", "usage": {}})]) == [CONTENT, PASS, PASS]
    assert meter.metered().usage == COUNTED


def test_groq_tells_its_usage_apart() -> None:
    meter = stream_meter(Dialect.CHAT, drop_usage=True)
    last = data(chunk({}, finish="stop", x_groq={"id": "req_1", "usage": TOLD}))
    assert verdicts(meter, [data(chunk({"content": "a"})), last, DONE]) == [CONTENT, PASS, TERMINAL]
    assert meter.metered().usage == COUNTED


def test_llama_cpp_tells_its_timings_too() -> None:
    meter = stream_meter(Dialect.CHAT, drop_usage=True)
    timings = {"cache_n": 3, "prompt_n": 2, "predicted_n": 7}
    assert meter.feed(data(chunk(usage=TOLD, timings=timings))) is DROP
    assert meter.metered().usage == Usage(input=5, cached_input=3, output=7)


@pytest.mark.parametrize("spaced", [False, True])
@pytest.mark.parametrize(
    "delta",
    [
        {"content": "a"},
        {"reasoning_content": "a", "content": None},
        {"reasoning": "a", "content": "", "reasoning_details": [{"type": "reasoning.text"}]},
        {"refusal": "no"},
        {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]},
        {"function_call": {"name": "f", "arguments": ""}},
        {"audio": {"id": "a", "transcript": "hi"}},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}]},
    ],
    ids=lambda delta: next(iter(delta)),
)
def test_what_counts_as_content_in_chat(delta: dict[str, Any], spaced: bool) -> None:
    meter = stream_meter(Dialect.CHAT)
    before = [
        b": ping\n\n",
        data(chunk({"role": "assistant", "content": "", "tool_calls": [], "refusal": None}), spaced=spaced),
        data(chunk(prompt_filter_results=[]), spaced=spaced),
    ]
    assert verdicts(meter, before) == [PASS, PASS, PASS]
    assert verdicts(meter, [data(chunk(delta), spaced=spaced)] * 3) == [CONTENT, PASS, PASS]


@pytest.mark.parametrize(
    "event",
    [
        data({"error": {"message": "overloaded", "code": "busy"}}),
        data({"error": {"message": "overloaded", "code": "busy"}}, spaced=True),
        b"event: error\n" + data({"message": "overloaded", "code": "busy"}),
        data({"object": "error", "message": "overloaded", "code": "busy"}),
        data(chunk({"content": ""}, finish="error", error={"message": "overloaded", "code": "busy"})),
    ],
)
@pytest.mark.parametrize("begun", [False, True])
def test_an_error_in_a_chat_stream(event: bytes, begun: bool) -> None:
    meter = stream_meter(Dialect.CHAT)
    if begun:
        verdicts(meter, [data(chunk({"content": "a"})), data(chunk({"content": "b"}))])
    assert meter.feed(event) is ERROR
    assert meter.metered().error == ("busy", "overloaded")


def test_words_of_the_protocol_inside_a_text_are_only_text() -> None:
    meter = stream_meter(Dialect.CHAT, drop_usage=True)
    texts = ["[DONE]", "error", "usage", '"error":{"message":"x"}', '"usage":{"prompt_tokens":1}', "{", '"choices":[]']
    events = [data(chunk({"content": "a"}))] + [data(chunk({"content": text})) for text in texts]
    assert verdicts(meter, events) == [CONTENT] + [PASS] * len(texts)
    assert meter.metered().produced == "a" + "".join(texts)
    assert meter.metered().error is None


def test_a_chat_stream_that_ends_without_done_is_complete_if_the_model_had_finished() -> None:
    for finish, complete in (("stop", True), (None, False)):
        meter = stream_meter(Dialect.CHAT)
        verdicts(meter, [data(chunk({"content": "a"})), data(chunk({"content": "b"}, finish=finish))])
        assert (meter.unfinished() is None) is complete
        assert meter.metered().complete is complete
    assert stream_meter(Dialect.CHAT).unfinished() == (
        "stream_ended_early",
        "the provider's stream ended before its answer was complete",
    )


@pytest.mark.parametrize(
    "event", [b"data: [DONE]\r\n\r\n", b"data:[DONE]\n\n", b"\ndata: [DONE]\n\n", b": x\ndata: [DONE]\n\n"]
)
def test_done_in_each_form(event: bytes) -> None:
    meter = stream_meter(Dialect.CHAT)
    meter.feed(data(chunk({"content": "a"})))
    assert meter.feed(event) is TERMINAL


NONSENSE = [b"data: {\n\n", b"data: \xff\n\n", b"data: 7\n\n", b"data: " + b"[" * 9999 + b"\n\n"]
FIRST = {
    Dialect.CHAT: data(chunk({"content": "a"})),
    Dialect.COMPLETIONS: data(chunk({"content": "a"})),
    Dialect.RESPONSES: data({"type": "response.output_text.delta", "delta": "a"}),
    Dialect.MESSAGES: data({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}}),
}


@pytest.mark.parametrize("event", NONSENSE)
@pytest.mark.parametrize("dialect", list(Dialect))
def test_nonsense_is_no_stream_before_the_first_content_and_passes_after_it(dialect: Dialect, event: bytes) -> None:
    meter = stream_meter(dialect, drop_usage=True)
    if dialect in FIRST:
        assert meter.feed(event) is BROKEN
        assert (meter.metered().error or ("",))[0] == "malformed_answer"
        meter = stream_meter(dialect, drop_usage=True)
        assert meter.feed(FIRST[dialect]) is CONTENT
    assert meter.feed(event) is PASS
    assert meter.metered().basis is Basis.UNKNOWN


@pytest.mark.parametrize("dialect", list(Dialect))
@pytest.mark.parametrize("event", [b"\n\n", b": ping\n\n", b"data: {}\n\n", b"data:\n\n"])
def test_an_event_with_nothing_in_it_passes(dialect: Dialect, event: bytes) -> None:
    verdict = stream_meter(dialect).feed(event)
    assert verdict is (CONTENT if dialect is Dialect.OTHER and b"{}" in event else PASS)


@pytest.mark.parametrize(
    ("dialect", "end"),
    [
        (Dialect.CHAT, DONE),
        (Dialect.COMPLETIONS, DONE),
        (Dialect.RESPONSES, DONE),
        (Dialect.MESSAGES, data({"type": "message_stop"})),
    ],
)
def test_an_end_that_nothing_came_before_is_no_answer(dialect: Dialect, end: bytes) -> None:
    meter = stream_meter(dialect)
    assert meter.feed(end) is BROKEN
    assert (meter.metered().error or ("",))[0] == "no_content"


def test_an_answer_without_content_that_says_why_it_ended_is_one() -> None:
    chat, message = stream_meter(Dialect.CHAT), stream_meter(Dialect.MESSAGES)
    assert verdicts(chat, [data(chunk({}, finish="content_filter")), DONE]) == [PASS, TERMINAL]
    ended = {"type": "message_delta", "delta": {"stop_reason": "refusal"}}
    assert verdicts(message, [data(ended), data({"type": "message_stop"})]) == [PASS, TERMINAL]


# The text of a stream that was cut


def test_an_aborted_chat_stream_yields_all_it_produced() -> None:
    meter = stream_meter(Dialect.CHAT)
    reasoning = ["Let me ", 'quote "this" ', "\\ back\n"]
    words = ["Grüße ", "\U0001f600", '"', "\\", "a\\", ' {"x":1} ', "end"]
    events = [data(chunk({"reasoning_content": text})) for text in reasoning]
    events += [data(chunk({"content": text})) for text in words]
    events += [data(chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"city":"Bern"}'}}]}))]
    verdicts(meter, events)
    assert meter.metered().produced == "".join([*reasoning, *words, '{"city":"Bern"}'])
    assert meter.metered().basis is Basis.UNKNOWN


def test_all_texts_of_an_event_with_several_are_kept() -> None:
    meter = stream_meter(Dialect.CHAT)
    both = [{"index": index, "delta": {"content": text}} for index, text in enumerate(("one ", "two "))]
    calls = [{"index": index, "function": {"name": "f", "arguments": "{}"}} for index in range(3)]
    events = [data(chunk({"content": "a "})), data({**chunk(), "choices": both}), data(chunk({"tool_calls": calls}))]
    verdicts(meter, [event for event in events for _ in range(2)])
    assert meter.metered().produced == "a a one two one two " + "{}" * 6


def test_a_text_that_does_not_end_ends_with_its_line() -> None:
    meter = stream_meter(Dialect.CHAT)
    whole = data({"choices": [{"delta": {"content": "wörd"}}]})
    verdicts(meter, [whole, whole.replace(b'rd"', b'rd\\"')])
    assert meter.metered().produced == 'wördwörd"}}]}', "and what came before it is read as it was meant"


def test_a_stream_whose_head_changes_with_every_event_is_read_as_well() -> None:
    meter = stream_meter(Dialect.CHAT)
    events = [
        data({"id": str(n), **{k: v for k, v in chunk({"content": f"{n},"}).items() if k != "id"}}) for n in range(50)
    ]
    assert verdicts(meter, events) == [CONTENT] + [PASS] * 49
    assert meter.metered().produced == "".join(f"{n}," for n in range(50))


def test_what_is_kept_of_an_endless_stream_is_bounded() -> None:
    meter = stream_meter(Dialect.CHAT)
    event = data(chunk({"content": "x" * 10_000}))
    for _ in range(3_000):
        meter.feed(event)
    assert len(meter.metered().produced) == 1024 * 1024


def test_completions() -> None:
    meter = stream_meter(Dialect.COMPLETIONS, drop_usage=True)

    def piece(text: str, finish: str | None = None) -> bytes:
        choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}
        return data({"id": "cmpl-1", "object": "text_completion", "created": 1, "choices": [choice], "model": "m"})

    usage = data({"id": "cmpl-1", "object": "text_completion", "choices": [], "usage": TOLD})
    assert verdicts(meter, [piece(""), piece("a"), piece('b"'), piece("", "stop")]) == [PASS, CONTENT, PASS, PASS]
    assert meter.metered().produced == 'ab"'
    assert verdicts(meter, [usage, DONE]) == [DROP, TERMINAL]
    assert meter.metered().usage == COUNTED


# Responses


RESPONSE = {"id": "resp_1", "object": "response", "status": "in_progress", "usage": None, "error": None}
RESPONSE_USAGE = {
    "input_tokens": 5,
    "input_tokens_details": {"cached_tokens": 2},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 1},
    "total_tokens": 12,
}


def delta(text: str, kind: str = "response.output_text.delta", number: int = 4) -> bytes:
    return named(
        kind, sequence_number=number, item_id="msg_1", output_index=0, content_index=0, delta=text, logprobs=[]
    )


@pytest.mark.parametrize("end", ["completed", "incomplete"])
def test_a_response_from_created_to_its_end(end: str) -> None:
    meter = stream_meter(Dialect.RESPONSES)
    events = [
        named("response.created", sequence_number=0, response=RESPONSE),
        named("response.in_progress", sequence_number=1, response=RESPONSE),
        named("response.output_item.added", sequence_number=2, item={"type": "message", "content": []}),
        delta(""),
        delta("Hel"),
        delta("lo"),
        named("response.output_text.done", text="Hello"),
        named(f"response.{end}", response={**RESPONSE, "status": end, "usage": RESPONSE_USAGE}),
    ]
    assert verdicts(meter, events) == [PASS, PASS, PASS, PASS, CONTENT, PASS, PASS, TERMINAL]
    metered = meter.metered()
    assert metered.usage == Usage(input=5, cached_input=2, output=7, reasoning=1)
    assert (metered.basis, metered.complete, metered.provider_request_id) == (Basis.PROVIDER, True, "resp_1")


@pytest.mark.parametrize(
    "kind",
    [
        "response.output_text.delta", "response.reasoning_text.delta", "response.reasoning_summary_text.delta",
        "response.refusal.delta", "response.function_call_arguments.delta", "response.audio.transcript.delta",
        "response.custom_tool_call_input.delta", "response.mcp_call_arguments.delta",
        "response.code_interpreter_call_code.delta",
    ],
)  # fmt: skip
def test_what_counts_as_content_in_a_response(kind: str) -> None:
    meter = stream_meter(Dialect.RESPONSES)
    assert verdicts(meter, [delta("a", kind), delta("b", kind), delta("c")]) == [CONTENT, PASS, PASS]
    assert meter.metered().produced == "abc"


def test_a_response_that_fails_is_an_error_before_content_and_an_end_after() -> None:
    error = {"code": "server_error", "message": "it broke"}
    failed = named("response.failed", response={**RESPONSE, "status": "failed", "error": error})
    meter = stream_meter(Dialect.RESPONSES)
    assert meter.feed(failed) is ERROR
    assert meter.metered().error == ("server_error", "it broke")
    meter = stream_meter(Dialect.RESPONSES)
    assert verdicts(meter, [delta("a"), failed]) == [CONTENT, TERMINAL]
    assert meter.metered().error == ("server_error", "it broke")


@pytest.mark.parametrize(
    "event",
    [
        named("error", code="busy", message="overloaded", param=None, sequence_number=3),
        named("error", error={"code": "busy", "message": "overloaded"}),
        data({"error": {"code": "busy", "message": "overloaded"}}),
    ],
)
def test_an_error_in_a_response_stream(event: bytes) -> None:
    meter = stream_meter(Dialect.RESPONSES)
    assert verdicts(meter, [delta("a"), event]) == [CONTENT, ERROR]
    assert meter.metered().error == ("busy", "overloaded")


def test_a_response_without_its_end_is_unfinished() -> None:
    meter = stream_meter(Dialect.RESPONSES)
    verdicts(meter, [delta('a"'), delta("b")])
    assert meter.unfinished() is not None
    assert meter.metered().produced == 'a"b'


# Messages


START = named(
    "message_start",
    message={
        "id": "msg_1",
        "usage": {
            "input_tokens": 20,
            "cache_read_input_tokens": 5,
            "cache_creation_input_tokens": 0,
            "output_tokens": 1,
        },
    },
)
BLOCK = named("content_block_start", index=0, content_block={"type": "text", "text": ""})
STOP = named("message_stop")


def block_delta(**fields: Any) -> bytes:
    return named("content_block_delta", index=0, delta=fields)


def text(value: str) -> bytes:
    return block_delta(type="text_delta", text=value)


def test_a_message_from_start_to_stop() -> None:
    meter = stream_meter(Dialect.MESSAGES)
    events = [
        START,
        BLOCK,
        named("ping"),
        text(""),
        text("Hel"),
        text("lo"),
        named("content_block_stop", index=0),
        named("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 12}),
        STOP,
    ]
    assert verdicts(meter, events) == [PASS, PASS, PASS, PASS, CONTENT, PASS, PASS, PASS, TERMINAL]
    metered = meter.metered()
    assert metered.usage == Usage(input=25, cached_input=5, cache_write=0, output=12)
    assert (metered.basis, metered.complete, metered.produced) == (Basis.PROVIDER, True, "")
    assert metered.provider_request_id == "msg_1"


def test_a_message_that_was_cut_knows_its_input_and_brings_its_text() -> None:
    meter = stream_meter(Dialect.MESSAGES)
    verdicts(meter, [START, BLOCK, text("Hel"), text('lo "you"')])
    metered = meter.metered()
    assert (metered.usage.input, metered.usage.output, metered.basis) == (25, None, Basis.UNKNOWN)
    assert metered.produced == 'Hello "you"'
    assert meter.unfinished() is not None


def test_the_input_told_last_counts() -> None:
    meter = stream_meter(Dialect.MESSAGES)
    last = {"input_tokens": 30, "cache_read_input_tokens": 6, "output_tokens": 12}
    verdicts(meter, [START, text("a"), named("message_delta", delta={"stop_reason": "end_turn"}, usage=last)])
    assert meter.metered().usage == Usage(input=36, cached_input=6, cache_write=0, output=12)
    assert meter.unfinished() is None, "the model had finished; only the last event is missing"


def test_the_output_told_at_the_start_is_never_taken_for_the_whole() -> None:
    meter = stream_meter(Dialect.MESSAGES)
    verdicts(meter, [START, text("a"), named("message_delta", delta={"stop_reason": "end_turn"}), STOP])
    assert (meter.metered().usage.output, meter.metered().basis) == (None, Basis.UNKNOWN)
    assert meter.metered().produced == "a"


@pytest.mark.parametrize(
    "event",
    [
        text("a"),
        block_delta(type="thinking_delta", thinking="hm"),
        block_delta(type="input_json_delta", partial_json="{"),
        block_delta(type="signature_delta", signature="s"),
        named("content_block_start", index=0, content_block={"type": "tool_use", "id": "t", "name": "f", "input": {}}),
        named("content_block_start", index=0, content_block={"type": "redacted_thinking", "data": "x"}),
    ],
)
def test_what_counts_as_content_in_a_message(event: bytes) -> None:
    meter = stream_meter(Dialect.MESSAGES)
    before = [
        START,
        BLOCK,
        named("content_block_start", index=0, content_block={"type": "thinking", "thinking": "", "signature": ""}),
        block_delta(type="input_json_delta", partial_json=""),
    ]
    assert verdicts(meter, before) == [PASS, PASS, PASS, PASS]
    assert verdicts(meter, [event, event]) == [CONTENT, PASS]


def test_an_error_in_a_message_stream() -> None:
    meter = stream_meter(Dialect.MESSAGES)
    error = named("error", error={"type": "overloaded_error", "message": "Overloaded"})
    assert verdicts(meter, [START, error]) == [PASS, ERROR]
    assert meter.metered().error == ("overloaded_error", "Overloaded")


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_line_ends_make_no_difference(line_end: bytes) -> None:
    cases = [
        (Dialect.MESSAGES, [START, text("a"), text("b"), text("c"), STOP]),
        (Dialect.RESPONSES, [delta("a"), delta("b"), delta("c"), named("response.completed", response=RESPONSE)]),
        (Dialect.CHAT, [data(chunk({"content": letter})) for letter in "abc"] + [DONE]),
    ]
    for dialect, events in cases:
        meter = stream_meter(dialect)
        seen = verdicts(meter, [event.replace(b"\n", line_end) for event in events])
        assert seen[-4:] == [CONTENT, PASS, PASS, TERMINAL]
        assert meter.metered().produced == "abc"


# Audio, images, unknown paths


def test_a_transcription_stream() -> None:
    meter = stream_meter(Dialect.AUDIO)
    usage = {"type": "tokens", "input_tokens": 14, "output_tokens": 45, "total_tokens": 59}
    events = [
        data({"type": "transcript.text.delta", "delta": "I see"}),
        data({"type": "transcript.text.delta", "delta": " skies"}),
        data({"type": "transcript.text.done", "text": "I see skies", "usage": usage}),
    ]
    assert verdicts(meter, events) == [CONTENT, PASS, TERMINAL]
    assert meter.metered().usage == Usage(input=14, output=45)


def test_a_speech_stream() -> None:
    meter = stream_meter(Dialect.AUDIO)
    usage = {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}
    events = [
        data({"type": "speech.audio.delta", "audio": "aaaa"}),
        data({"type": "speech.audio.done", "usage": usage}),
    ]
    assert verdicts(meter, events) == [CONTENT, TERMINAL]
    assert meter.metered().usage == Usage(input=14, output=101)


@pytest.mark.parametrize("kind", ["image_generation", "image_edit"])
def test_an_image_stream(kind: str) -> None:
    meter = stream_meter(Dialect.IMAGES)
    usage = {"input_tokens": 50, "output_tokens": 100, "total_tokens": 150}
    events = [
        named(f"{kind}.partial_image", b64_json="x" * 5_000, partial_image_index=0),
        named(f"{kind}.completed", b64_json="x" * 5_000, usage=usage),
    ]
    assert verdicts(meter, events) == [CONTENT, TERMINAL]
    assert meter.metered().usage == Usage(input=50, output=100, images=1)


def test_an_unknown_stream_is_content_from_the_first_event_and_its_usage_is_read() -> None:
    meter = stream_meter(Dialect.OTHER)
    events = [b": hi\n\n", named("thread.created", id="thread_1"), named("thread.run.completed", usage=TOLD)]
    assert verdicts(meter, events) == [PASS, CONTENT, PASS]
    assert meter.unfinished() is None
    assert (meter.metered().usage, meter.metered().basis) == (COUNTED, Basis.PROVIDER)


# Speed
