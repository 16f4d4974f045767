"""The facts of one answer: its status, the headers that matter, its fields or its events, what it says, and what an
official SDK made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from keyvault.domain.endpoints import ENDPOINTS, Dialect
from opsconsole.staging.asking import Answer, said_in
from opsconsole.staging.checking.aspects import Aspect, Facts
from opsconsole.staging.checking.documents import described, outline, read
from opsconsole.staging.checking.streams import Piece, pieces, stream_facts

HEADERS: Final = (
    "content-type",
    "content-encoding",
    "content-language",
    "content-disposition",
    "cache-control",
    "location",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
)
"""What clients act on. Ids of requests are looked at only for being there, and limits of rate not at all: those of a
gateway's key are other than those of the provider's account."""
REQUEST_IDS: Final = ("x-request-id", "request-id")


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer as it was on the wire, and as an official SDK handed it to its caller."""

    answer: Answer
    sdk: Mapping[str, str] = field(default_factory=dict)
    """Which view → what it showed; empty where no SDK asked."""

    @property
    def refused(self) -> bool:
        return self.answer.status is None or self.answer.status >= 400


def facts_of(path: str, seen: Seen, *, wants_json: bool = False) -> Facts:
    """All facts of an answer to a request of `path`. `wants_json`: its text was to be a JSON document."""
    answer = seen.answer
    dialect = dialect_of(path)
    facts: dict[Aspect, str] = {Aspect("answer"): answer.failure or "whole"}
    if answer.status is not None:
        facts[Aspect("status")] = str(answer.status)
    facts |= {Aspect("header", name): value for name in HEADERS if (value := answer.header(name)) is not None}
    facts[Aspect("request id")] = "there" if any(answer.header(name) for name in REQUEST_IDS) else "none"
    facts |= _streamed(dialect, answer) if answer.streamed else _whole(answer)
    if not seen.refused:
        facts |= _meaning(dialect, answer, wants_json)
    return facts | {Aspect("SDK", view): value for view, value in seen.sdk.items()}


def dialect_of(path: str) -> Dialect:
    return ENDPOINTS[path].dialect if path in ENDPOINTS else Dialect.OTHER


def _whole(answer: Answer) -> Facts:
    if not answer.body:
        return {Aspect("body"): "empty"}
    try:
        document = read(answer.body)
    except ValueError:
        return {Aspect("body"): "not JSON"}
    return {Aspect("body"): "JSON", **described([document]), **_sums([document])}


def _streamed(dialect: Dialect, answer: Answer) -> Facts:
    found: list[Piece] = pieces(dialect, answer.events)
    documents = [piece.document for piece in found if isinstance(piece.document, dict)]
    return {Aspect("body"): "events", **stream_facts(dialect, found), **_sums(documents)}


def _meaning(dialect: Dialect, answer: Answer, wants_json: bool) -> Facts:
    heard = said_in(dialect, answer)
    facts = {Aspect("tool calls"): ", ".join(f"{call.name}: {outline(call.arguments)}" for call in heard.tool_calls)}
    if not heard.tool_calls:
        facts.clear()
    if wants_json and heard.finish not in ("length", "incomplete"):
        facts[Aspect("answer as JSON")] = outline(heard.text)
    return facts


def _sums(documents: list[Any]) -> Facts:
    """Whether the parts of each usage come to its total."""
    told = [usage for document in documents for usage in _usages(document)]
    wrong = next((text for usage in told if (text := _off(usage)) is not None), None)
    return {Aspect("usage sum"): wrong or "right"} if told else {}


def _usages(document: Any) -> list[dict[str, Any]]:
    if not isinstance(document, dict):
        return []
    inner = (document.get("usage"), *(_of(document.get(name)).get("usage") for name in ("response", "message")))
    return [usage for usage in inner if isinstance(usage, dict)]


def _off(usage: dict[str, Any]) -> str | None:
    names = ("prompt_tokens", "completion_tokens") if "prompt_tokens" in usage else ("input_tokens", "output_tokens")
    given = [usage.get(name) for name in (*names, "total_tokens")]
    counts = [int(str(count)) if str(count).isdigit() else None for count in given]
    if counts[2] is None or counts[0] is None or counts[2] == counts[0] + (counts[1] or 0):
        return None
    return f"{counts[0]} and {counts[1] or 0} are not {counts[2]}"


def _of(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
