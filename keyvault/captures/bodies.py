"""Redaction of whole bodies: JSON, streams of events, plain text. What nobody can look into is left out.

JSON stays JSON: only string values change, every other byte stays as it was, and numbers with them; a string that holds
JSON itself, as the arguments of tools do, is treated the same. In a stream the pieces of one text are looked at
together, so that an address in two events is found: what stands in its place goes into the event where it began.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from keyvault.captures.captured import Answer, Captured
from keyvault.captures.redaction import GATEWAY_KEY, OWN, Redactor, Span, put

_LITERAL: Final = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"(\s*+:)?', re.DOTALL)
"""A string of JSON; with a colon behind it, it is a name."""
_LINE: Final = re.compile(r"([^\r\n]*+)(\r\n|\n|\r|\Z)")
_DEEPEST: Final = 3
"""JSON within strings of JSON."""
_IN_PIECES: Final = frozenset(
    ("content", "text", "delta", "arguments", "partial_json", "thinking", "reasoning", "reasoning_content",
     "refusal", "transcript", "input")
)  # fmt: skip
"""Names under which the events of a stream carry one text in pieces, in any dialect."""
_WHICH: Final = ("type", "item_id", "output_index", "content_index", "summary_index", "index")
"""Fields of an event that say to which text its piece belongs."""
_check_json = msgspec.json.Decoder(msgspec.Raw).decode

Address = tuple[Any, ...]


def redacted(captured: Captured, redactor: Redactor) -> Captured:
    """The exchange without what the capture takes out, marked where anything was."""
    body = captured.body and _body(redactor, captured.body, dict(captured.headers).get("content-type", ""))
    answer = captured.answer and _answer(redactor, captured.answer)
    headers = tuple((name, redactor.redact(value)) for name, value in captured.headers)
    changed = msgspec.structs.replace(
        captured, body=body, answer=answer, headers=headers, query=redactor.redact(captured.query)
    )
    return msgspec.structs.replace(changed, redacted=True) if changed != captured else captured


def _answer(redactor: Redactor, answer: Answer) -> Answer | None:
    kind = "text/event-stream" if answer.streamed else dict(answer.headers).get("content-type", "")
    encoded = "content-encoding" in dict(answer.headers)
    body = answer.body and _body(redactor, answer.body, "encoded" if encoded and redactor.asked else kind)
    headers = tuple((name, redactor.redact(value)) for name, value in answer.headers)
    return None if body is None else msgspec.structs.replace(answer, body=body, headers=headers)


def _body(redactor: Redactor, body: bytes, kind: str) -> bytes | None:
    """A body as it is kept; None where it must not be, for nobody can look into it."""
    if not redactor.asked:
        return GATEWAY_KEY.sub(OWN.encode(), body)
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    if kind.startswith("text/event-stream"):
        return _stream(redactor, text).encode()
    if _is_json(text):
        return put(text, _json_spans(redactor, text, 0)).encode()
    return redactor.redact(text).encode() if kind.startswith("text/") else None


def _is_json(text: str) -> bool:
    try:
        _check_json(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return False
    return True


def _json_spans(redactor: Redactor, text: str, depth: int) -> list[Span]:
    """What of a JSON text's string values goes."""
    return [
        (start, end, json.dumps(new))
        for start, end, value in _strings(text)
        if (new := put(value, _spans(redactor, value, depth))) != value
    ]


def _spans(redactor: Redactor, value: str, depth: int = 0) -> list[Span]:
    """What of one string goes."""
    if value[:1] in ("{", "[") and depth < _DEEPEST and _is_json(value):
        return _json_spans(redactor, value, depth + 1)
    return redactor.spans(value)


def _strings(text: str) -> Iterator[tuple[int, int, str]]:
    """Every string value of a valid JSON text, in order: where it stands, quotes included, and what it says."""
    for match in _LITERAL.finditer(text):
        if match[2] is None:
            yield match.start(), match.end(), json.loads(match[0]) if "\\" in match[1] else match[1]


# Streams


class _Piece:
    """One string of one line of a stream."""

    __slots__ = ("end", "line", "start", "text")

    def __init__(self, line: int, start: int, end: int, text: str) -> None:
        self.line, self.start, self.end, self.text = line, start, end, text


def _stream(redactor: Redactor, text: str) -> str:
    lines = [(match[1], match[2]) for match in _LINE.finditer(text)]
    edits: dict[int, list[Span]] = defaultdict(list)
    together: dict[Address, list[_Piece]] = defaultdict(list)
    for number, (line, _) in enumerate(lines):
        pieces = _pieces(number, line)
        if pieces is None:
            edits[number] = redactor.spans(line)
            continue
        for address, piece in pieces:
            together[address].append(piece)
    for pieces_of_text in together.values():
        for number, span in _edits(redactor, pieces_of_text):
            edits[number].append(span)
    return "".join(put(line, sorted(edits.get(number, ()))) + end for number, (line, end) in enumerate(lines))


def _pieces(number: int, line: str) -> list[tuple[Address, _Piece]] | None:
    """The strings of an event's data, each with the text that it is a piece of; None for a line that is no JSON."""
    name, _, data = line.partition(":")
    if name != "data" or data.lstrip()[:1] != "{" or not _is_json(data):
        return None
    offset = len(line) - len(data)
    root = json.loads(data, object_pairs_hook=_Pairs, parse_int=_place)
    which = tuple(value for name, value in root if name in _WHICH and not isinstance(value, list))
    found = []
    for (start, end, text), path in zip(_strings(data), _paths(root, ()), strict=True):
        own = () if path[-1] in _IN_PIECES else (number, start)  # any other string stands for itself
        found.append(((which, path, own), _Piece(number, offset + start, offset + end, text)))
    return found


def _place(digits: str) -> int:
    """A whole number, as far as it can be a place in a list."""
    return int(digits) if len(digits) < 10 else 0


class _Pairs(list[tuple[str, Any]]):
    """An object's fields in the order they came, those that come twice too."""


def _paths(node: Any, path: Address) -> Iterator[Address]:
    """Where each string value stands, in the order in which they stand in the text."""
    if isinstance(node, _Pairs):
        for name, value in node:
            yield from _paths(value, (*path, name))
    elif isinstance(node, list):
        for place, value in enumerate(node):
            at = dict(value).get("index", place) if isinstance(value, _Pairs) else place
            yield from _paths(value, (*path, at if isinstance(at, int) else place))
    elif isinstance(node, str):
        yield path


def _edits(redactor: Redactor, pieces: Sequence[_Piece]) -> Iterator[tuple[int, Span]]:
    """What changes in each line so that a text in pieces loses what it must."""
    spans = deque(_spans(redactor, "".join(piece.text for piece in pieces)))
    at = 0
    for piece in pieces:
        end = at + len(piece.text)
        own: list[Span] = []
        while spans and spans[0][0] < end:
            start, stop, instead = spans[0]
            own.append((max(start, at) - at, min(stop, end) - at, instead if start >= at else ""))
            if stop > end:
                break  # the next piece loses the rest
            spans.popleft()
        if own:
            yield piece.line, (piece.start, piece.end, json.dumps(put(piece.text, own)))
        at = end
