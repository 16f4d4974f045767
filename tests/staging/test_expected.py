"""What a prompt's `expected` accepts and refuses, and which of them make no sense."""

from __future__ import annotations

from typing import Any

import pytest

from keyvault.errors import UsageError
from opsconsole.staging.asking.said import ToolCall
from opsconsole.staging.comparison.expected import Spoken, expectation

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "kind": {"enum": ["adult", "child", None]},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "uniqueItems": True, "maxItems": 3},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
    "$defs": {"tag": {"anyOf": [{"type": "string", "pattern": "^[a-z]+$"}, {"type": "number", "multipleOf": 0.5}]}},
}

RIGHT: list[tuple[dict[str, Any], str]] = [
    ({"exact": "Paris"}, " Paris\n"),
    ({"exact": ["yes", "no"]}, "no"),
    ({"exact": "Paris", "ignore_case": True}, "PARIS"),
    ({"contains": ["Seine", "France"]}, "On the Seine, in France."),
    ({"regex": r"\b4\d\b"}, "it is 42"),
    ({"numeric": 1234.5}, "First 7, then 1,234.5"),
    ({"numeric": 100, "tolerance": 2}, "about 98."),
    ({"numeric": -3e2, "relative": 0.1}, "-310"),
    ({"schema": PERSON}, '{"name": "A", "age": 3, "kind": null, "tags": ["x", 1.5]}'),
    ({"schema": {"oneOf": [{"const": 1}, {"type": "array", "minItems": 1}]}}, "1.0"),
    ({"schema": {"allOf": [{"not": {"type": "null"}}, True]}}, "false"),
]
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"exact": "Paris"}, "paris"),
    ({"contains": ["Seine", "Spain"]}, "On the Seine."),
    ({"regex": "^no"}, "yes"),
    ({"numeric": 5}, "5 or 6"),
    ({"numeric": 5}, "five"),
    ({"schema": PERSON}, "```json\n{}\n```"),
    ({"schema": PERSON}, '{"name": "A"}'),
    ({"schema": PERSON}, '{"name": "", "age": 3}'),
    ({"schema": PERSON}, '{"name": "A", "age": true}'),
    ({"schema": PERSON}, '{"name": "A", "age": 3.5}'),
    ({"schema": PERSON}, '{"name": "A", "age": 3, "more": 1}'),
    ({"schema": PERSON}, '{"name": "A", "age": 3, "kind": "other"}'),
    ({"schema": PERSON}, '{"name": "A", "age": 3, "tags": ["x", "x"]}'),
    ({"schema": PERSON}, '{"name": "A", "age": 3, "tags": [0.3]}'),
    ({"schema": {"oneOf": [{"type": "number"}, {"const": 1}]}}, "1"),
    ({"exact": "1", "schema": {"type": "string"}}, "1"),
]
NONSENSE: list[dict[str, Any]] = [
    {},
    {"ignore_case": True},
    {"like": "x"},
    {"exact": 3},
    {"contains": []},
    {"regex": "("},
    {"numeric": "3"},
    {"schema": {"type": "text"}},
    {"schema": {"pattern": "("}},
    {"schema": {"$ref": "#/$defs/none"}},
    {"schema": {"properties": {"a": {"$ref": "http://elsewhere"}}}},
    {"tool": {"arguments": {}}},
]


@pytest.mark.parametrize(("told", "text"), RIGHT)
def test_an_answer_is_right(told: dict[str, Any], text: str) -> None:
    assert expectation(told).wrong(Spoken(text)) is None


@pytest.mark.parametrize(("told", "text"), WRONG)
def test_an_answer_is_wrong_and_why_is_told(told: dict[str, Any], text: str) -> None:
    assert expectation(told).wrong(Spoken(text))


@pytest.mark.parametrize("told", NONSENSE, ids=str)
def test_an_expectation_that_cannot_be_judged_by_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        expectation(told)


@pytest.mark.parametrize(
    ("told", "right"),
    [
        ("weather", True),
        ({"name": "weather", "arguments": {"city": "Paris"}}, True),
        ({"name": "weather", "arguments": {"days": 2.0}}, True),
        ({"name": "weather", "arguments": {"city": "Rome"}}, False),
        ({"name": "weather", "arguments": {"unit": "C"}}, False),
        ("search", False),
    ],
)
def test_a_tool_is_called_with_the_arguments_that_matter(told: Any, right: bool) -> None:
    spoken = Spoken("", (ToolCall("weather", '{"city": "Paris", "days": 2}'), ToolCall("weather", "not json")))
    assert (expectation({"tool": told}).wrong(spoken) is None) is right
