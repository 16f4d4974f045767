"""The responses API, streamed: typed events, usage in the event that ends the response.

The end is `response.completed` or `response.incomplete`, and `response.failed`, which is an error as long as nothing
was produced; another error is an event `error`. There is no `[DONE]`.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from keyvault.domain.endpoints import Dialect
from keyvault.proxy.dialects.base import EMPTY, Meter, decode_object, identifier
from keyvault.proxy.dialects.metered import Metered, Verdict
from keyvault.proxy.dialects.produced import pattern_for
from keyvault.proxy.dialects.provider_errors import error_of
from keyvault.proxy.dialects.sse import read_event
from keyvault.proxy.dialects.usage import Fields, fields_of

TEXT_FIELDS: Final = pattern_for("delta")
_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})
_BEGINNINGS: Final = frozenset({"response.created", "response.queued", "response.in_progress"})


class ResponsesMeter(Meter):
    """Reads a stream of one response."""

    __slots__ = ("_sealed",)

    def __init__(self) -> None:
        super().__init__(Dialect.RESPONSES, TEXT_FIELDS)
        self._sealed: list[str] = []

    def _inspect(self, event: bytes) -> Verdict:
        name, data = read_event(event)
        if data.startswith(b"[DONE]"):
            return self._terminal() if self._begun else self._broken(EMPTY)
        fields = decode_object(data)
        if fields is None:
            return self._unreadable(data)
        kind = fields.get("type") or name.decode("ascii", "replace")
        if not isinstance(kind, str):
            return Verdict.PASS
        if kind == "error" or (fields.get("error") and not kind.startswith("response.")):
            return self._failed(fields)
        if kind in _ENDS:
            return self._ended(kind, fields_of(fields.get("response")))
        if kind.endswith(".delta") and fields.get("delta"):
            if name == kind.encode():
                self._learn_name(event)
            return self._content(event)
        if kind.endswith(".partial_image"):
            return self._content(event)
        if kind == "response.output_item.done":
            self._note_sealed(fields_of(fields.get("item")))
        if kind in _BEGINNINGS:
            self._provider_id = identifier(fields_of(fields.get("response")).get("id"))
        return Verdict.PASS

    def metered(self) -> Metered:
        metered = super().metered()
        return replace(metered, sealed=tuple(dict.fromkeys(self._sealed))) if self._sealed else metered

    def _note_sealed(self, item: Fields) -> None:
        if isinstance(sealed := item.get("encrypted_content"), str):
            self._sealed.append(sealed)

    def _ended(self, kind: str, response: Fields) -> Verdict:
        self._note_usage(response)
        if isinstance(output := response.get("output"), list):
            for item in output:
                self._note_sealed(fields_of(item))
        self._provider_id = identifier(response.get("id")) or self._provider_id
        if kind != "response.failed":
            return self._terminal()
        self._error = error_of(response)
        if not self._begun:
            return Verdict.ERROR
        return self._terminal()
