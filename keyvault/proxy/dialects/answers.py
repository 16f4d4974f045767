"""Reading an answer that is no stream: its usage, its text where usage is missing, its error.

Only the fields needed are decoded. Of an answer too large to be collected its end is enough: usage stands there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, TypedDict

import msgspec
from msgspec import Meta

from keyvault.domain.endpoints import Dialect
from keyvault.domain.ledger import NO_USAGE, Basis, Usage
from keyvault.proxy.dialects import chat, messages
from keyvault.proxy.dialects.base import identifier
from keyvault.proxy.dialects.metered import Metered
from keyvault.proxy.dialects.produced import MAX_BYTES, Produced
from keyvault.proxy.dialects.provider_errors import read_error
from keyvault.proxy.dialects.typed import count_images
from keyvault.proxy.dialects.usage import MAX_COUNT, Fields, basis_of, count, read_usage
from keyvault.proxy.headers import provider_request_id


class _Small(TypedDict, total=False):
    """The fields that matter; everything else is skipped, not decoded."""

    usage: Any
    x_groq: Any
    timings: Any
    id: Any
    error: Any
    object: Any
    status: Any
    input_tokens: Any
    type: Any


class _Images(_Small, total=False):
    data: list[msgspec.Raw] | None


_Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]


class _Before(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    cached_tokens: _Count | None = None
    audio_tokens: _Count | None = None


class _After(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    reasoning_tokens: _Count | None = None
    audio_tokens: _Count | None = None
    accepted_prediction_tokens: _Count | None = None
    rejected_prediction_tokens: _Count | None = None


class _Told(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    prompt_tokens: _Count
    completion_tokens: _Count
    total_tokens: _Count
    prompt_tokens_details: _Before | None = None
    completion_tokens_details: _After | None = None


class _Usual(msgspec.Struct, gc=False):
    """An answer with its usage as most providers of OpenAI's dialect tell it; any other is read field by field."""

    id: Annotated[str, Meta(min_length=1, max_length=200)]
    object: Literal["chat.completion", "text_completion"]
    usage: _Told
    error: None = None
    type: None = None
    timings: None = None


_USUAL: Final = frozenset({Dialect.CHAT, Dialect.COMPLETIONS})
_IMAGES: Final = Dialect.IMAGES
_PROVIDER: Final = Basis.PROVIDER
"""Members by name: looking one up in its enum takes 0.1 µs."""
_usual = msgspec.json.Decoder(_Usual)
_small = msgspec.json.Decoder(_Small)
_images = msgspec.json.Decoder(_Images)
_TEXT_FIELDS: Final = {
    Dialect.CHAT: chat.TEXT_FIELDS,
    Dialect.COMPLETIONS: chat.TEXT_FIELDS,
    Dialect.RESPONSES: chat.TEXT_FIELDS,
    Dialect.MESSAGES: messages.TEXT_FIELDS,
    Dialect.AUDIO: chat.TEXT_FIELDS,
}


def read_answer(
    dialect: Dialect,
    status: int,
    body: bytes,
    headers: Sequence[tuple[bytes, bytes]] = (),
    secrets: Sequence[str] = (),
) -> Metered:
    """What is known of an answer from its body: the whole of it, or the end of a large one."""
    from_headers = provider_request_id(headers)
    if status >= 400:
        return Metered(error=read_error(body, secrets), provider_request_id=from_headers)
    if dialect in _USUAL and (found := _usual_answer(body, from_headers)) is not None:
        return found
    answer = _decode(body, dialect)
    if answer is None:
        told = _from_tail(dialect, body)
        return Metered(**told, complete=True, provider_request_id=from_headers, readable=False)
    usage = _usage(dialect, answer)
    basis = basis_of(usage)
    return Metered(
        usage=usage or NO_USAGE,
        basis=basis,
        produced="" if basis is _PROVIDER else _text(dialect, body),
        complete=True,
        error=read_error(body, secrets) if _is_error(answer) else None,
        provider_request_id=from_headers or identifier(answer.get("id")),
    )


def _usual_answer(body: bytes, from_headers: str | None) -> Metered | None:
    """What `read_answer` finds in most answers, in a third of the time; None for any other."""
    try:
        answer = _usual.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    told = answer.usage
    entered, left = told.prompt_tokens, told.completion_tokens
    before, after = told.prompt_tokens_details, told.completion_tokens_details
    cached, heard = (None, None) if before is None else (before.cached_tokens, before.audio_tokens)
    thought, spoken = (None, None) if after is None else (after.reasoning_tokens, after.audio_tokens)
    if (cached and cached > entered) or (heard and heard > entered):
        return None
    if (thought and thought > left) or (spoken and spoken > left):
        return None
    if told.total_tokens > entered + left or not answer.id.isprintable():  # there is reasoning beside the output
        return None
    usage = Usage(entered, cached, None, None, left, thought, heard, spoken)
    return Metered(usage, _PROVIDER, "", True, None, from_headers or answer.id)


def _decode(body: bytes, dialect: Dialect) -> Fields | None:
    """The small fields of an answer; `data` as the list of what is in it, undecoded. None where it is not an object."""
    try:
        return (_images if dialect is _IMAGES else _small).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _usage(dialect: Dialect, answer: Fields) -> Usage | None:
    usage = read_usage(dialect, answer)
    if dialect is _IMAGES:
        return count_images(answer, usage)
    if usage is None and dialect is Dialect.MESSAGES and count(answer.get("input_tokens")) is not None:
        return Usage(input=0, output=0)  # `count_tokens` answers with a count; it uses none
    return usage


def _is_error(answer: Fields) -> bool:
    """A status of 200 does not keep a provider from answering with an error."""
    return bool(answer.get("error")) or answer.get("object") == "error" or answer.get("type") == "error"


def _text(dialect: Dialect, body: bytes) -> str:
    pattern = _TEXT_FIELDS.get(dialect)
    if pattern is None:
        return ""
    produced = Produced(pattern)
    produced.add(body[:MAX_BYTES])
    return produced.text()


def _from_tail(dialect: Dialect, body: bytes) -> dict[str, Any]:
    """Usage and basis from the last usage object in a body that is not whole."""
    start = body.rfind(b'"usage"')
    if start < 0:
        return {}
    try:
        text = body[start + len(b'"usage"') :].decode("utf-8", "replace").lstrip().removeprefix(":").lstrip()
        raw, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return {}
    usage = read_usage(dialect, {"usage": raw})
    return {"usage": usage or NO_USAGE, "basis": basis_of(usage)}
