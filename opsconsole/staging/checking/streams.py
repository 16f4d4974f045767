"""A stream of events as facts: what kinds came, in which order, and whether the order is one its dialect allows.

A kind is named after what the event carries (`content`, `tool 0 arguments`, `finish`) where events have no names of
their own. Runs of one kind count as one, for a model never takes the same number of steps twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from keyvault.domain.endpoints import Dialect
from opsconsole.staging.asking import Event
from opsconsole.staging.checking.aspects import Aspect, Facts
from opsconsole.staging.checking.documents import described, read

DONE: Final = "[DONE]"
_REASONING: Final = ("reasoning_content", "reasoning", "thinking")
_TERMINAL: Final = ("response.completed", "response.incomplete", "response.failed", "message_stop", DONE)


class Piece(NamedTuple):
    """One event, its kind and its document (None where it is no JSON)."""

    kind: str
    document: Any


def pieces(dialect: Dialect, events: Iterable[Event]) -> list[Piece]:
    return [_piece(dialect, event) for event in events]


def stream_facts(dialect: Dialect, found: Sequence[Piece]) -> Facts:
    kinds = [piece.kind for piece in found]
    facts: dict[Aspect, str] = {Aspect("events"): collapsed(kinds)}
    if kinds:
        facts[Aspect("first event")], facts[Aspect("last event")] = kinds[0], kinds[-1]
    facts[Aspect("order")] = _out_of_order(dialect, found) or "kept"
    if dialect in (Dialect.CHAT, Dialect.COMPLETIONS):
        facts[Aspect("usage event")] = _usage_event(kinds)
    for kind in dict.fromkeys(kinds):
        facts[Aspect("event", kind)] = "comes"
        documents = [piece.document for piece in found if piece.kind == kind and piece.document is not None]
        facts |= described(documents, kind)
    return facts


def collapsed(kinds: Iterable[str]) -> str:
    """`a → b… → c`: what came once, and what came several times in a row."""
    runs = ((kind, sum(1 for _ in run)) for kind, run in itertools.groupby(kinds))
    return " → ".join(kind if length == 1 else f"{kind}…" for kind, length in runs)


def _piece(dialect: Dialect, event: Event) -> Piece:
    if event.data.startswith(DONE):
        return Piece(DONE, None)
    try:
        document = read(event.data)
    except ValueError:
        return Piece("not JSON", None)
    if not isinstance(document, dict):
        return Piece("no object", document)
    if dialect in (Dialect.CHAT, Dialect.COMPLETIONS):
        return Piece(_parts(document), document)
    named = str(document.get("type"))
    return Piece(named if event.name in ("", named) else f"{named} called {event.name}", document)


def _parts(chunk: dict[str, Any]) -> str:
    """What a chunk of a chat carries."""
    if chunk.get("error"):
        return "error"
    parts = [part for choice in _objects(chunk.get("choices")) for part in _of_choice(choice)]
    if isinstance(chunk.get("usage"), dict):
        parts.append("usage")
    return " + ".join(parts) or "empty"


def _of_choice(choice: dict[str, Any]) -> list[str]:
    delta = choice.get("delta")
    parts = _of_delta(delta) if isinstance(delta, dict) else []
    if choice.get("text"):
        parts.append("content")
    if choice.get("finish_reason"):
        parts.append("finish")
    if choice.get("index", "0") in ("0", None):
        return parts
    return [f"{part} of choice {choice['index']}" for part in parts]


def _of_delta(delta: dict[str, Any]) -> list[str]:
    parts = ["role"] if delta.get("role") else []
    if any(delta.get(name) for name in _REASONING):
        parts.append("reasoning")
    if delta.get("content") or delta.get("refusal"):
        parts.append("content")
    for call in _objects(delta.get("tool_calls")):
        function = next(iter(_objects([call.get("function")])), {})
        what = ["opens"] if call.get("id") or function.get("name") else []
        what += ["arguments"] if function.get("arguments") else []
        parts.append(f"tool {call.get('index', '?')} {' with '.join(what)}".rstrip())
    return parts


def _usage_event(kinds: Sequence[str]) -> str:
    places = [at for at, kind in enumerate(kinds) if "usage" in kind.split(" + ")]
    if not places:
        return "none"
    alone = kinds[places[-1]] == "usage"
    return ("by itself" if alone else "with others") + (", in several" if len(places) > 1 else "")


def _out_of_order(dialect: Dialect, found: Sequence[Piece]) -> str | None:
    """What came before or after what it must not; None where all is well."""
    kinds = [piece.kind for piece in found]
    early = next((kind for kind in kinds[:-1] if kind in _TERMINAL), None)
    if early is not None and kinds[kinds.index(early) + 1 :] != [DONE]:
        return f"events after {early}"
    if dialect is Dialect.RESPONSES:
        return _out_of_numbers(found) or _out_of_blocks(found, "response.output_item.", "output_index")
    if dialect is Dialect.MESSAGES:
        return _out_of_message(found) or _out_of_blocks(found, "content_block_", "index")
    return _out_of_chat(kinds)


def _out_of_numbers(found: Sequence[Piece]) -> str | None:
    numbers = [piece.document.get("sequence_number") for piece in found if isinstance(piece.document, dict)]
    told = [int(number) for number in numbers if isinstance(number, str) and number.isdigit()]
    late = next((later for earlier, later in itertools.pairwise(told) if later <= earlier), None)
    return None if late is None else f"sequence number {late} comes late"


def _out_of_message(found: Sequence[Piece]) -> str | None:
    kinds = [piece.kind for piece in found if piece.kind not in ("ping", "error")]
    if kinds and kinds[0] != "message_start":
        return f"{kinds[0]} before message_start"
    if "message_delta" in kinds and any(
        kind.startswith("content_block") for kind in kinds[kinds.index("message_delta") :]
    ):
        return "content after message_delta"
    return None


def _out_of_blocks(found: Sequence[Piece], prefix: str, index: str) -> str | None:
    """Whether what belongs to a block lies between its first and its last event."""
    begun: set[str] = set()
    for piece in found:
        at = piece.document.get(index) if isinstance(piece.document, dict) else None
        if at is None:
            continue
        if piece.kind in (prefix + "start", prefix + "added"):
            begun.add(at)
        elif at not in begun:
            return f"{piece.kind} before {prefix}{'start' if prefix.endswith('_') else 'added'}"
        if piece.kind in (prefix + "stop", prefix + "done"):
            begun.discard(at)
    return None


def _out_of_chat(kinds: Sequence[str]) -> str | None:
    finished: set[str] = set()
    counted = False
    for kind in kinds:
        for part in kind.split(" + "):
            what, _, choice = part.partition(" of choice ")
            if what in ("empty", "error", DONE):
                continue
            if what == "usage":
                counted = True
            elif choice in finished:
                return f"{what} after finish"
            elif counted and what == "finish" and "usage" not in kind.split(" + "):
                return "finish after usage"
            if what == "finish":
                finished.add(choice)
    return None


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
