"""What of an answer an application could stumble over that the recorded one did not have.

A finding that *breaks* is one that an application would notice: a request refused that was served before, a stream
without its end, tool calls that cannot be carried out, a text that is not the JSON that was asked for. Other words in
an answer are none: models never say the same twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import msgspec

from keyvault.domain.endpoints import Dialect
from keyvault.secrets import scrub_foreign
from opsconsole.staging.asking import Answer, Said, said
from opsconsole.staging.exchanges import Exchange, Recorded
from opsconsole.staging.schemas import violations

MOST_VIOLATIONS: Final = 3
LONGEST_REASON: Final = 300
_REFUSED: Final = frozenset({400, 404, 405, 413, 415, 422})
_NOT_ALLOWED: Final = frozenset({401, 403})
_LIMITED: Final = frozenset({402, 408, 409, 429})
_CONTENT: Final = frozenset({"tool_calls", "reasoning", "reasoning_content", "refusal"})
"""Fields that are there when a model says so, not when a provider does."""
_AT_WILL: Final = ("ping", "error", "reasoning", "function_call", "_call", "refusal", "annotation")
"""Events, likewise."""
_SPEAKING: Final = frozenset({Dialect.CHAT, Dialect.COMPLETIONS, Dialect.RESPONSES, Dialect.MESSAGES})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is otherwise than it was, or than it should be."""

    kind: str
    """`no_answer`, `refused`, `not_allowed`, `limited`, `failed`, `stream`, `usage`, `shape`, `tools`, `schema`,
    `empty`, `finish`, `served`."""
    text: str
    breaks: bool = True


def judge(exchange: Exchange, answer: Answer) -> tuple[Finding, ...]:
    """What is to be said of the answer that a request of the past got now; nothing where all is well."""
    before = exchange.recorded or Recorded()
    if answer.status is None:
        return (Finding("no_answer", answer.failure or "no answer"),)
    if answer.status >= 400:
        return _refused(exchange, answer, before)
    found = list(_of_answer(exchange, answer))
    if before.status is not None and before.status >= 400:
        found.append(Finding("served", f"served now, {before.status} before", breaks=False))
    return tuple(found)


def _refused(exchange: Exchange, answer: Answer, before: Recorded) -> tuple[Finding, ...]:
    status = answer.status or 0
    if before.status == status:
        return ()
    heard = said(exchange.path, answer)
    kind = next(
        (name for name, group in _BY_STATUS.items() if status in group), "failed" if status >= 500 else "refused"
    )
    named = _parameter(answer)
    about = f" ({named})" if named else ""
    return (Finding(kind, f"{status} {heard.error_code}{about}: {_reason(heard)}"),)


_BY_STATUS: Final = {"refused": _REFUSED, "not_allowed": _NOT_ALLOWED, "limited": _LIMITED}


def _reason(heard: Said) -> str:
    """What an error says, without a credential that it repeats."""
    return scrub_foreign(heard.error_text or "no reason given")[:LONGEST_REASON]


def _parameter(answer: Answer) -> str | None:
    """The parameter that an error names."""
    error = answer.json.get("error") if isinstance(answer.json, dict) else None
    named = error.get("param") if isinstance(error, dict) else None
    return named[:80] if isinstance(named, str) and named else None


def _of_answer(exchange: Exchange, answer: Answer) -> Iterator[Finding]:
    """Findings on an answer that is no refusal."""
    request = msgspec.json.decode(exchange.body)
    if exchange.stream is not answer.streamed and exchange.dialect in _SPEAKING:
        yield Finding("stream", "not a stream, though one was asked for" if exchange.stream else "a stream unasked")
        return
    if not answer.streamed and not isinstance(answer.json, dict):
        yield Finding("shape", "the answer is not a JSON object")
        return
    heard = said(exchange.path, answer)
    if heard.error_code is not None:
        yield Finding("failed", f"{heard.error_code}: {_reason(heard)}")
    elif not heard.complete:
        yield Finding("stream", answer.failure or "the stream ended without its last event")
    else:
        yield from _of_content(exchange, request, heard)
    yield from _shape(exchange, answer)


def _of_content(exchange: Exchange, request: Mapping[str, Any], heard: Said) -> Iterator[Finding]:
    if exchange.dialect not in _SPEAKING:
        return
    if heard.usage is None and _asks_for_usage(exchange, request):
        yield Finding("usage", "the answer tells no usage")
    yield from _tools(request, heard)
    yield from _schema(request, heard)
    before = _before(exchange)
    if before is None:
        return
    if not heard.text and not heard.tool_calls and (before.text or before.tool_calls):
        yield Finding("empty", f"nothing was said (finish {heard.finish})")
    elif bool(before.tool_calls) is not bool(heard.tool_calls):
        told = "a tool was called before, none now" if before.tool_calls else "a tool is called now, none before"
        yield Finding("tools", told, breaks=False)
    if before.finish and heard.finish and before.finish != heard.finish and not before.tool_calls:
        yield Finding("finish", f"finish {heard.finish}, before {before.finish}", breaks=False)


def _before(exchange: Exchange) -> Said | None:
    if exchange.recorded is None or exchange.recorded.answer is None:
        return None
    return said(exchange.path, exchange.recorded.answer)


def _asks_for_usage(exchange: Exchange, request: Mapping[str, Any]) -> bool:
    if not exchange.stream or exchange.dialect in (Dialect.RESPONSES, Dialect.MESSAGES):
        return True
    options = request.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def _tools(request: Mapping[str, Any], heard: Said) -> Iterator[Finding]:
    offered = set(_offered(request.get("tools")))
    for call in heard.tool_calls:
        if call.name not in offered:
            yield Finding("tools", f"a call of a tool that was not offered: {call.name[:60]!a}")
        elif not _is_object(call.arguments or "{}"):
            yield Finding("tools", f"the arguments of {call.name[:60]!a} are not a JSON object")
    if not heard.tool_calls and offered and request.get("tool_choice") in ("required", {"type": "any"}):
        yield Finding("tools", "a tool was required and none was called")


def _offered(tools: Any) -> Iterator[str]:
    """The names of the tools a request offers, in any dialect; hosted ones are known by their type."""
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, dict):
            function = tool.get("function")
            name = tool.get("name") or (function.get("name") if isinstance(function, dict) else None)
            yield str(name or tool.get("type"))


def _schema(request: Mapping[str, Any], heard: Said) -> Iterator[Finding]:
    """Whether a text is the JSON that was asked for, where one was."""
    wanted = _wanted_format(request)
    if wanted is None or not heard.text or heard.finish in ("length", "incomplete", "max_tokens"):
        return
    try:
        value = msgspec.json.decode(heard.text)
    except (msgspec.DecodeError, RecursionError):
        yield Finding("schema", "the text is not JSON, though it was asked for")
        return
    for problem in islice(violations(wanted.get("schema"), value), MOST_VIOLATIONS):
        yield Finding("schema", problem)


def _wanted_format(request: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The format of the text that a request asks for: its schema, or an empty one; None where any text will do."""
    asked = request.get("response_format")
    text = request.get("text")
    if asked is None and isinstance(text, dict):
        asked = text.get("format")
    if not isinstance(asked, dict) or asked.get("type") not in ("json_object", "json_schema"):
        return None
    inner = asked.get("json_schema")
    return inner if isinstance(inner, dict) else asked


def _shape(exchange: Exchange, answer: Answer) -> Iterator[Finding]:
    """What the recorded answer was made of and this one lacks: worth a look, though providers differ in it."""
    before = exchange.recorded.answer if exchange.recorded else None
    if before is None or before.failure is not None or before.streamed is not answer.streamed:
        return
    missing = sorted(set(_parts(before)) - set(_parts(answer)))
    if missing and answer.failure is None:
        kind = "stream" if answer.streamed else "shape"
        yield Finding(kind, f"without {', '.join(missing[:5])}, which the answer had before", breaks=False)


def _parts(answer: Answer) -> Iterator[str]:
    """The names of an answer's fields; of a stream those of its events, or of their fields where they have no name."""
    if not answer.streamed:
        yield from _paths(answer.json)
    for event in answer.events:
        if not event.name:
            yield from _paths(event.json())
        elif not any(word in event.name for word in _AT_WILL):
            yield event.name


def _paths(value: Any, depth: int = 3) -> Iterator[str]:
    """The names of an object's fields that hold something, down to its first list's first object."""
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return
    for name, each in value.items():
        if each is None or name in _CONTENT:
            continue
        yield name
        if depth:
            yield from (f"{name}.{below}" for below in _paths(each, depth - 1))


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, RecursionError):
        return False
