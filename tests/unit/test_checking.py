"""The pure parts of a check: what an answer's facts are, which orders of events are possible, how a report is told."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from keyvault.domain.endpoints import Dialect
from opsconsole.staging.asking import Answer, Event
from opsconsole.staging.checking.aspects import Aspect
from opsconsole.staging.checking.comparing import differing
from opsconsole.staging.checking.documents import described, outline, read
from opsconsole.staging.checking.facts import Seen, facts_of
from opsconsole.staging.checking.streams import pieces, stream_facts
from opsconsole.view.checking.junit import as_junit
from opsconsole.view.checking.markdown import as_markdown
from opsconsole.view.checking.report import CheckReport, Difference, Result, Verdict


def facts(text: str) -> dict[str, str]:
    return {str(aspect): value for aspect, value in described([read(text)]).items()}


def test_a_document_s_facts_are_its_fields_types_and_values_as_they_are_spelled() -> None:
    assert facts('{"a": [{"b": 1.0}, {"b": 2e3, "c": null}], "d": "x"}') == {
        "field a": "list",
        "field a[]": "object",
        "field a[].b": "number",
        "field a[].c": "null",
        "field d": "text",
        "spelling a[].b": "with an exponent or with decimals",
        "value a": "2 items",
        "value a[].b": "1.0 2e3",
        "value a[].c": "null",
        "value d": '"x"',
    }


@pytest.mark.parametrize(
    ("text", "said"), [('{"b": 1, "a": 2}', "object(a, b)"), ("[1]", "list"), ('"x"', "text"), ("{", "not JSON")]
)
def test_an_outline_says_what_a_text_is(text: str, said: str) -> None:
    assert outline(text) == said


def test_what_the_api_disagrees_on_with_itself_is_not_compared() -> None:
    direct = [described([{"id": name, "kind": "x"}]) for name in ("one", "two")]
    assert differing([described([{"id": "three", "kind": "x"}])], direct) == []
    (found,) = differing([described([{"id": "three"}])], direct)
    assert (str(found.aspect), found.expected, found.found) == ("field kind", "text", None)


def test_one_answer_that_agrees_is_enough() -> None:
    direct, other = described([{"kind": "x"}]), described([{"kind": "y"}])
    assert differing([other], [direct, direct])
    assert differing([other, direct], [direct, direct]) == []


def message(kind: str, **more: Any) -> Event:
    return Event(kind, json.dumps({"type": kind, **more}), 0.0)


BLOCK = [
    message("content_block_start", index=0),
    message("content_block_delta", index=0),
    message("content_block_stop", index=0),
]
START, DELTA, STOP = message("message_start"), message("message_delta"), message("message_stop")


@pytest.mark.parametrize(
    ("events", "order"),
    [
        ([START, message("ping"), *BLOCK, DELTA, STOP], "kept"),
        ([*BLOCK, START, DELTA, STOP], "content_block_start before message_start"),
        ([START, *BLOCK[1:], DELTA, STOP], "content_block_delta before content_block_start"),
        ([START, DELTA, *BLOCK, STOP], "content after message_delta"),
        ([START, *BLOCK, STOP, DELTA], "events after message_stop"),
    ],
)
def test_the_order_of_a_message_s_events(events: list[Event], order: str) -> None:
    assert stream_facts(Dialect.MESSAGES, pieces(Dialect.MESSAGES, events))[Aspect("order")] == order


def response(kind: str, number: int, **more: Any) -> Event:
    return message(f"response.{kind}", sequence_number=number, **more)


@pytest.mark.parametrize(("numbers", "order"), [((0, 1, 2, 3), "kept"), ((0, 2, 1, 3), "sequence number 1 comes late")])
def test_the_order_of_a_response_s_events(numbers: tuple[int, ...], order: str) -> None:
    kinds = ("created", "output_item.added", "output_text.delta", "completed")
    events = [response(kind, number) for kind, number in zip(kinds, numbers, strict=True)]
    assert stream_facts(Dialect.RESPONSES, pieces(Dialect.RESPONSES, events))[Aspect("order")] == order


def test_an_event_that_goes_by_another_name_than_its_type_is_of_another_kind() -> None:
    (piece,) = pieces(Dialect.MESSAGES, [Event("delta", '{"type": "message_stop"}', 0.0)])
    assert piece.kind == "message_stop called delta"


@pytest.mark.parametrize(
    ("usage", "said"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}, "right"),
        ({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 8}, "3 and 4 are not 8"),
        ({"input_tokens": 3, "output_tokens": 4}, "right"),
    ],
)
def test_usage_has_to_add_up(usage: dict[str, int], said: str) -> None:
    answer = Answer(200, (("content-type", "application/json"),), json.dumps({"usage": usage}).encode())
    assert facts_of("/chat/completions", Seen(answer))[Aspect("usage sum")] == said


@pytest.mark.parametrize(("body", "said"), [(b"", "empty"), (b"<html>", "not JSON"), (b'{"a": 1}', "JSON")])
def test_a_body_is_empty_json_or_neither(body: bytes, said: str) -> None:
    assert facts_of("/models", Seen(Answer(500, (), body)))[Aspect("body")] == said


REPORT = CheckReport(
    "http://here/v1",
    "http://there/v1",
    ("httpx",),
    ("m",),
    (
        Result("chat", "an answer", Verdict.PASSED, "httpx", 1.5, 2.0),
        Result(
            "chat-stream",
            "a stream",
            Verdict.DIFFERS,
            "httpx",
            1.0,
            1.0,
            (
                Difference("last event", "[DONE]", "finish"),
                Difference("value x", '"<b>"', "a|b\x1b" + "c" * 100),
            ),
        ),
        Result("embeddings", "embeddings", Verdict.SKIPPED, "httpx", None, reason="no model for it is named"),
    ),
)


def test_a_report_goes_into_json_and_back() -> None:
    assert CheckReport.of_json(json.loads(json.dumps(REPORT.to_json()))) == REPORT
    assert REPORT.to_json()["ok"] is False
    assert REPORT.summary == "1 passed, 1 differs, 1 skipped"


def test_a_result_is_told_in_one_line() -> None:
    assert [result.remark for result in REPORT.results] == [
        "",
        "last event: direct [DONE], here finish (and 1 more)",
        "because no model for it is named",
    ]


def test_junit_xml_counts_and_says_what_differs() -> None:
    suite = ElementTree.fromstring(as_junit(REPORT))
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    (failure,) = suite.iterfind(".//failure")
    assert 'value x: direct "<b>", here a|b?c' in str(failure.text)


def test_markdown_keeps_its_table_whole() -> None:
    text = as_markdown(REPORT)
    assert "| chat | passed | 1.5 | 2 |  |" in text
    assert "&lt;b&gt;" in text
    assert r"a\|b?" in text
