"""Streams of typed events outside the text dialects: audio, images, and whatever an unknown path streams.

Content is any `*.delta` or partial image; the end is the event that says so, or `[DONE]`. An unknown path's events all
count as content, since nothing is known of them.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from keyvault.domain.endpoints import Dialect
from keyvault.domain.ledger import Usage
from keyvault.proxy.dialects.base import Meter, decode_object, identifier
from keyvault.proxy.dialects.metered import Verdict
from keyvault.proxy.dialects.produced import pattern_for
from keyvault.proxy.dialects.sse import read_event
from keyvault.proxy.dialects.usage import Fields, fields_of

_ENDS: Final = frozenset(
    {"transcript.text.done", "speech.audio.done", "image_generation.completed", "image_edit.completed"}
)
_TEXT_FIELDS: Final = {Dialect.AUDIO: pattern_for("delta"), Dialect.OTHER: pattern_for("content", "text", "delta")}
_NO_TEXT: Final = pattern_for("(?!)")


class TypedMeter(Meter):
    """Reads a stream of events that name their type."""

    __slots__ = ()

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect, _TEXT_FIELDS.get(dialect, _NO_TEXT))

    def _inspect(self, event: bytes) -> Verdict:
        name, data = read_event(event)
        if data.startswith(b"[DONE]"):
            return self._terminal()
        fields = decode_object(data)
        if fields is None:
            return Verdict.PASS
        kind = str(fields.get("type") or name.decode("ascii", "replace"))
        if kind == "error" or fields.get("error"):
            return self._failed(fields)
        self._provider_id = self._provider_id or identifier(fields.get("id"))
        if not self._note_usage(fields):
            self._note_usage(fields_of(fields.get("response")))
        if kind in _ENDS:
            return self._ended(kind)
        if self._dialect is Dialect.OTHER or kind.endswith(".delta") or "partial_image" in kind:
            return self._content(event)
        return Verdict.PASS

    def _ended(self, kind: str) -> Verdict:
        self._begun = True
        if self._dialect is Dialect.IMAGES:
            self._usage = replace(self._usage, images=1)
        return self._terminal()

    def unfinished(self) -> tuple[str, str] | None:
        if self._dialect is Dialect.OTHER:
            return self._error  # nobody knows how such a stream ought to end
        return super().unfinished()


def count_images(answer: Fields, usage: Usage | None) -> Usage | None:
    """The usage of an images answer: its `data` are the images made."""
    data = answer.get("data")
    if not isinstance(data, list):
        return usage
    return replace(usage or Usage(), images=len(data))
