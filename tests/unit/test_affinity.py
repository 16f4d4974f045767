"""Conversation state: how it is found in requests and answers, and where a request that carries it goes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from keyvault.domain.endpoints import Dialect
from keyvault.domain.routes import Choice, Route, Target
from keyvault.errors import Refusal
from keyvault.routing.affinity import (
    MOST_LOOKED_AT,
    NOTHING,
    Maker,
    carried,
    digest_of_reasoning,
    digest_of_response,
    maker_of,
    place,
    reasoning_in,
)
from keyvault.routing.planner import Planner
from tests.unit.test_planner import upstream

SEALED = "gAAAAABk" + "x" * 40
OTHER = "gAAAAABk" + "y" * 40


def found(dialect: Dialect, value: Any) -> list[bytes]:
    return reasoning_in(dialect, json.dumps(value).encode())


def digests(*sealed: str) -> list[bytes]:
    return [digest for each in sealed if (digest := digest_of_reasoning(each))]


def test_sealed_reasoning_of_the_responses_api_is_found_the_newest_first() -> None:
    items = [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": SEALED},
        {"type": "message", "role": "user", "content": 'she said: "encrypted_content": "no"'},
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": None},
        {"type": "reasoning", "id": "rs_3", "summary": [], "encrypted_content": OTHER},
    ]
    assert found(Dialect.RESPONSES, items) == digests(OTHER, SEALED)


def test_signatures_and_redacted_thinking_are_found_the_newest_first() -> None:
    content = [
        {"type": "redacted_thinking", "data": OTHER},
        {"type": "thinking", "thinking": "{hm} redacted_thinking", "signature": SEALED},
        {"type": "image", "source": {"type": "base64", "data": "A" * 64}},
    ]
    assert found(Dialect.MESSAGES, [{"role": "assistant", "content": content}]) == digests(SEALED, OTHER)


def test_what_is_written_with_escapes_is_the_same_state() -> None:
    sealed = SEALED + "/+=="
    escaped = json.dumps(sealed).replace("/", "\\/").replace("=", "\\u003d")
    assert reasoning_in(Dialect.RESPONSES, b'[{"encrypted_content" : %b}]' % escaped.encode()) == digests(sealed)


@pytest.mark.parametrize("value", ["def f(x): ...", "short", "", "ü" * 64])
def test_a_tool_s_argument_of_the_same_name_is_no_state(value: str) -> None:
    content = [{"type": "tool_use", "input": {"signature": value}}, {"type": "thinking", "thinking": ""}]
    assert found(Dialect.MESSAGES, content) == []


@pytest.mark.parametrize("text", [b"", b"null", b'"thinking"', b'{"signature": "\\', b'[{"encrypted_content": "\\x"}]'])
def test_a_text_that_cannot_be_read_carries_nothing(text: bytes) -> None:
    assert carried(Dialect.RESPONSES, text, text) in (NOTHING, carried(Dialect.RESPONSES, b"", b'"thinking"'))
    assert not carried(Dialect.MESSAGES, text, b"null")


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "hostile",
    [
        b'{"a": [' + b'"redacted_thinking",' * 400_000 + b"{",
        b'[{"signature":"thinking"' * 400_000,
        b'{"redacted_thinking"' + b"{" * 8_000_000,
        b'"signature":"' + b"\\a" * 4_000_000 + b'thinking"',
    ],
)
def test_a_hostile_text_takes_no_longer_than_reading_it(hostile: bytes) -> None:
    assert reasoning_in(Dialect.MESSAGES, hostile) == []


def test_a_request_carries_the_newest_states_of_its_conversation_first() -> None:
    sealed = [f"{number:040d}" for number in range(50)]
    talk = json.dumps([{"encrypted_content": each} for each in sealed]).encode()
    asked = carried(Dialect.RESPONSES, talk, b'"resp_1"')
    assert asked.response == digest_of_response("resp_1")
    assert list(asked.reasoning) == digests(*sealed[: -MOST_LOOKED_AT - 1 : -1])


def test_a_stored_response_decides_and_else_the_newest_reasoning_on_record() -> None:
    response, new, old = digest_of_response("resp_1"), *digests(SEALED, OTHER)
    asked = carried(
        Dialect.RESPONSES,
        json.dumps([{"encrypted_content": OTHER}, {"encrypted_content": SEALED}]).encode(),
        b'"resp_1"',
    )
    a, b = Target("a", "m"), Target("b", "m")
    assert maker_of(asked, {response: a, new: b}) == Maker(a, stored=True)
    assert maker_of(asked, {new: b, old: a}) == Maker(b, stored=False)
    assert maker_of(asked, {old: a}) == Maker(a, stored=False)
    assert maker_of(asked, {}) is None


ROUTE = Route(
    "chat",
    (Choice(Target("a", "large")), Choice(Target("b", "large")), Choice(Target("b", "drained"), weight=0)),
    (Choice(Target("b", "small")), Choice(Target("c", "large"))),
)


def placed(made_by: str, *, stored: bool) -> list[str]:
    planner = Planner([ROUTE], [upstream(name, Dialect.RESPONSES) for name in "abc"], draw=lambda: 0.5)
    plan = planner.plan("chat", Dialect.RESPONSES)
    target = Target(*made_by.split("/"))
    return [str(each.target) for each in place(planner, "chat", Dialect.RESPONSES, plan, Maker(target, stored))]


def test_sealed_reasoning_goes_to_the_target_that_made_it_and_to_no_other() -> None:
    assert placed("c/large", stored=False) == ["c/large"]


def test_it_goes_there_too_when_nothing_else_does_any_more() -> None:
    assert placed("b/drained", stored=False) == ["b/drained"]


def test_where_its_target_is_gone_the_same_upstream_is_first_and_the_others_follow() -> None:
    assert placed("b/gone", stored=False) == ["b/large", "b/small", "a/large", "c/large"]
    assert placed("gone/large", stored=False) == ["a/large", "b/large", "b/small", "c/large"]


def test_a_stored_response_goes_to_its_upstream_alone_the_maker_first() -> None:
    assert placed("b/small", stored=True) == ["b/small", "b/large"]
    assert placed("b/gone", stored=True) == ["b/large", "b/small"]


def test_a_stored_response_that_no_target_knows_is_refused_as_the_provider_would() -> None:
    with pytest.raises(Refusal) as refused:
        placed("gone/large", stored=True)
    assert (refused.value.status, refused.value.error_code) == (400, "previous_response_not_found")


def test_a_pattern_binds_to_the_same_model_only() -> None:
    route = Route("gpt-*", (Choice(Target("a", "*")), Choice(Target("b", "*"))))
    planner = Planner([route], [upstream("a", Dialect.RESPONSES), upstream("b", Dialect.RESPONSES)], draw=lambda: 0.5)
    for made_by, expected in (("gpt-5", ["b/gpt-5"]), ("gpt-4", ["b/gpt-5", "a/gpt-5"])):
        plan = planner.plan("gpt-5", Dialect.RESPONSES)
        maker = Maker(Target("b", made_by), stored=False)
        assert [str(each.target) for each in place(planner, "gpt-5", Dialect.RESPONSES, plan, maker)] == expected
