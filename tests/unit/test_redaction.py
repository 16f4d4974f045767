"""What is taken out of captured texts, and that everything else of them stays as it was, byte by byte."""

from __future__ import annotations

import json
from typing import Any

import pytest

from keyvault.captures.bodies import redacted
from keyvault.captures.captured import Answer, Captured
from keyvault.captures.patterns import check_patterns
from keyvault.captures.redaction import Redactor
from keyvault.domain.captures import Plan, parse_redactions, parse_share, parse_size
from keyvault.errors import UsageError

GATEWAY_KEY = f"sk-gw_live_abcdefghijkl_{'A' * 49}"


def redactor(*redact: str, patterns: tuple[str, ...] = ()) -> Redactor:
    return Redactor(Plan(most=1, max_bytes=1, keep_seconds=1, redact=redact, patterns=patterns))


EVERYTHING = redactor("email", "phone", "card")

TEXTS = {
    # Addresses
    "write to jane.doe+news@mail.example.co.uk, please": "write to [email], please",
    "jürgen@müller.de": "[email]",
    "an @mention and a@b": "an @mention and a@b",
    # Telephones
    "call +49 151 23456789 now": "call [phone] now",
    "+1 (415) 555-2671": "[phone]",
    "(415) 555-2671 or 415.555.2671": "[phone] or [phone]",
    "0049 30 1234567; 030/1234567": "[phone]; [phone]",
    "on 2026-11-23 at 12:00, v1.2.3, 10.0.0.1": "on 2026-11-23 at 12:00, v1.2.3, 10.0.0.1",
    "order 1234567890, pi is 3.14159265358979": "order 1234567890, pi is 3.14159265358979",
    # Cards: with Luhn's sum, on their own, of any length
    "4111 1111 1111 1111": "[card]",
    "card 5555-5555-5555-4444 cvc 123": "card [card] cvc 123",
    "4111 1111 1111 1111 123": "[card] 123",
    "378282246310005": "[card]",
    "4111111111111112 has a wrong sum": "4111111111111112 has a wrong sum",
    "94111111111111111 is part of more": "94111111111111111 is part of more",
    # A gateway's own keys go whatever was asked for
    f"my key is {GATEWAY_KEY}!": "my key is [redacted]!",
}


@pytest.mark.parametrize("text", TEXTS)
def test_personal_data_is_found_by_its_shape(text: str) -> None:
    assert EVERYTHING.redact(text) == TEXTS[text]


def test_what_was_not_asked_for_stays() -> None:
    text = "a@b.de +49 151 23456789 4111 1111 1111 1111"
    assert redactor("phone").redact(text) == "a@b.de [phone] 4111 1111 1111 1111"
    assert redactor().redact(f"{text} {GATEWAY_KEY}") == f"{text} [redacted]"


def test_an_own_pattern_is_found_wherever_it_stands_in_a_long_text() -> None:
    own = redactor(patterns=(r"\bEMP-[0-9]{4,8}\b",))
    for before in (0, 4_090, 4_096, 9_000):
        text = "x" * max(0, before - 1) + " EMP-12345 and EMP-1."
        assert own.redact(text) == text.replace("EMP-12345", "[redacted]")


REFUSED = {
    "(": "not a regular expression",
    "a+": "must say how often",
    "(?:x{1,5})*": "must say how often",
    "(?=secret)x": "must not look around itself",
    r"(a)\1": "must not look around itself or refer to itself",
    "(a|a){1,40}b": "ways from one place",
    "(?:a{1,9}){1,9}b": "ways from one place",
    r"\w{1,90}\w{1,90}x": "ways from one place",
    "[a-z]{300}": "can match 300 characters",
    "x{0,3}": "matches nothing at all",
    "": "a pattern of 0 characters",
    "x" * 201: "a pattern of 201 characters",
}


@pytest.mark.parametrize("pattern", REFUSED)
def test_a_pattern_that_could_run_away_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match=REFUSED[pattern]) as refused:
        check_patterns([pattern])
    assert "\n" not in refused.value.message
    assert refused.value.hint


def exchange(body: bytes, answer: bytes, kind: str = "application/json", **more: Any) -> Captured:
    answered = Answer(200, (("content-type", kind),), answer, streamed=kind.startswith("text/event-stream"))
    headers = (("content-type", "application/json"), ("http-referer", "https://x/?u=a@b.de"))
    return Captured("1", 0, "POST", "/v1/x", headers, body, answered, "k", "c", "p", **more)


def test_json_keeps_its_numbers_names_and_spaces() -> None:
    body = b'{ "a@b.de": 1.10, "n" :4111111111111111, "t":["hi \\u0041 a\\u0040b.de", "\\ud83d\\ude00"], "e": "x" }'
    found = redacted(exchange(body, b"{}"), EVERYTHING)
    assert found.body == body.replace(b'"hi \\u0041 a\\u0040b.de"', b'"hi A [email]"')
    assert found.redacted
    assert dict(found.headers)["http-referer"] == "https://x/?u=[email]"


def test_the_json_within_a_tools_arguments_stays_json() -> None:
    inner = json.dumps({"to": "a@b.de", "card": 4111111111111111})
    found = redacted(exchange(json.dumps({"arguments": inner}).encode(), b"{}"), EVERYTHING)
    assert found.body is not None
    assert json.loads(json.loads(found.body)["arguments"]) == {"to": "[email]", "card": 4111111111111111}


def test_a_picture_in_a_prompt_is_left_alone() -> None:
    picture = "data:image/png;base64," + "+491512345678" * 60
    body = json.dumps({"url": picture}).encode()
    assert redacted(exchange(body, b"{}"), EVERYTHING).body == body


def test_what_nobody_can_look_into_is_left_out_where_something_is_to_be_taken_out() -> None:
    form, sound = b"--x\r\n\r\n\xff\x00a@b.de", b"\xff\xfb\x90"
    found = redacted(exchange(form, sound, "audio/mpeg"), EVERYTHING)
    assert (found.body, found.answer, found.redacted) == (None, None, True)
    untouched = exchange(form, sound, "audio/mpeg")
    assert redacted(untouched, redactor()) == untouched


def deltas(*names: str) -> Any:
    """An event of each dialect whose text is a piece."""

    def wrap(text: str) -> dict[str, Any]:
        node: Any = text
        for name in reversed(names):
            node = [node] if name == "[]" else {name: node, **({"index": 0} if name == names[-1] else {})}
        return dict(node)

    return wrap


DIALECTS = {
    "chat": deltas("choices", "[]", "delta", "content"),
    "tools": deltas("choices", "[]", "delta", "tool_calls", "[]", "function", "arguments"),
    "completions": deltas("choices", "[]", "text"),
    "responses": lambda text: {
        "type": "response.output_text.delta",
        "item_id": "i",
        "sequence_number": 1,
        "delta": text,
    },
    "messages": lambda text: {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
}


def texts_of(stream: bytes) -> list[str]:
    """Every string of each event's data, in one."""
    events = [json.loads(line[6:]) for line in stream.decode().split("\n") if line.startswith("data: {")]
    return [" ".join(_strings(event)) for event in events]


def _strings(node: Any) -> list[str]:
    if isinstance(node, dict):
        node = list(node.values())
    return [node] if isinstance(node, str) else [s for n in node for s in _strings(n)] if isinstance(node, list) else []


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_address_in_the_pieces_of_a_stream_is_found(dialect: str) -> None:
    pieces = ["mail ja", "ne@exa", "mple.com", " soon"]
    stream = "".join(f"data: {json.dumps(DIALECTS[dialect](piece))}\n\n" for piece in pieces) + "data: [DONE]\n\n"
    found = redacted(exchange(b"{}", stream.encode(), "text/event-stream; charset=utf-8"), EVERYTHING)
    assert found.answer is not None
    told = texts_of(found.answer.body)
    assert len(told) == 4
    assert "mail [email]" in told[0]
    assert " soon" in told[3]
    assert "ne@exa" not in str(told)
    assert "mple.com" not in str(told)
    assert found.answer.body.endswith(b"data: [DONE]\n\n")


def test_two_texts_of_one_stream_are_not_mixed_up() -> None:
    choices = [(0, "jane@exa"), (1, "nothing"), (0, "mple.com"), (1, " here.com")]
    stream = "".join(f'data: {{"choices":[{{"index":{i},"delta":{{"content":"{t}"}}}}]}}\n\n' for i, t in choices)
    found = redacted(exchange(b"{}", stream.encode(), "text/event-stream"), EVERYTHING)
    assert found.answer is not None
    assert texts_of(found.answer.body) == ["[email]", "nothing", "", " here.com"]


RUNS = ["a" * 200_000, "a@" * 50_000, "1 " * 30_000, "+1-" * 50_000, "a.b-c%" * 30_000]


@pytest.mark.parametrize("text", [*RUNS, "a@bc.de +49 171 1234567 " * 20_000])
def test_no_text_makes_a_finder_run_away(text: str) -> None:
    assert len(EVERYTHING.redact(text)) <= len(text)  # with a finder that is quadratic this takes minutes


def test_no_stream_makes_its_pieces_run_away() -> None:
    stream = b'data: {"choices":[{"index":0,"delta":{"content":"a@bc.de "}}]}\n\n' * 20_000
    found = redacted(exchange(b"{}", stream, "text/event-stream"), EVERYTHING)
    assert found.answer is not None
    assert found.answer.body.count(b"[email]") == 20_000


def test_shares_sizes_and_redactions_are_read_as_people_write_them() -> None:
    assert [parse_share(text) for text in ("10%", "0.5 %", "100%")] == [100_000, 5_000, 1_000_000]
    assert [parse_size(text) for text in ("500MB", "1.5gb")] == [500_000_000, 1_500_000_000]
    assert parse_redactions(("card,email", "phone")) == parse_redactions(("all",)) == ("email", "phone", "card")
    for read, text in ((parse_share, "0%"), (parse_share, "101%"), (parse_size, "5"), (parse_size, "1TB")):
        with pytest.raises(UsageError):
            read(text)
    for bad in (("name",), ("",), ("all,email",)):
        with pytest.raises(UsageError):
            parse_redactions(bad)
