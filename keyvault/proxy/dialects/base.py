"""What the meters of all dialects share: what was seen so far, and how it is told."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import Any, Final

import msgspec

from keyvault.domain.endpoints import Dialect
from keyvault.domain.ledger import NO_USAGE, Basis, Usage
from keyvault.proxy.dialects.metered import PASS, Metered, Verdict
from keyvault.proxy.dialects.produced import Produced
from keyvault.proxy.dialects.provider_errors import error_of
from keyvault.proxy.dialects.straight import Straight
from keyvault.proxy.dialects.usage import Fields, basis_of, read_usage

_LINE_ENDS: Final = re.compile(rb"[\r\n]")
_json = msgspec.json.Decoder(Any)
MALFORMED: Final = ("malformed_answer", "an event of the provider's stream is not JSON")
EMPTY: Final = ("no_content", "the provider's stream ended with nothing in it")
UNFINISHED: Final = ("stream_ended_early", "the provider's stream ended before its answer was complete")


def decode_object(data: bytes) -> Fields | None:
    """`data` if it is a JSON object, else None."""
    try:
        value = _json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def identifier(value: object) -> str | None:
    """A provider's id of an answer, if it can be shown."""
    return value if isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable() else None


class Meter(ABC):
    """State of one stream. Subclasses say what an event means."""

    __slots__ = ("_begun", "_complete", "_dialect", "_error", "_produced", "_provider_id", "_usage", "straight")

    def __init__(self, dialect: Dialect, text_fields: re.Pattern[bytes], stray: re.Pattern[bytes] = _LINE_ENDS) -> None:
        """`stray`: what does not follow in a plain event behind how they all begin."""
        self._dialect = dialect
        self._begun = False
        """The first content has been seen."""
        self._complete = False
        """The model has finished, whether or not the terminal event has come."""
        self._produced = Produced(text_fields)
        self.straight = Straight(self._produced.unread, self._produced.pieces, self._produced.read, stray)
        self._usage: Usage = NO_USAGE
        self._error: tuple[str, str] | None = None
        self._provider_id: str | None = None

    def feed(self, event: bytes) -> Verdict:
        if event.startswith(self.straight.head):
            self.straight.last = event
            self._produced.add(event)
            return PASS
        return self._inspect(event)

    @abstractmethod
    def _inspect(self, event: bytes) -> Verdict:
        """What an event is that does not begin as a plain one does."""

    def metered(self) -> Metered:
        basis = basis_of(self._usage)
        return Metered(
            usage=self._usage,
            basis=basis,
            produced="" if basis is Basis.PROVIDER and self._complete else self._produced.text(),
            complete=self._complete,
            error=self._error,
            provider_request_id=self._provider_id,
        )

    def text_bytes(self) -> int:
        return self._produced.size()

    def unfinished(self) -> tuple[str, str] | None:
        return self._error or (None if self._complete else UNFINISHED)

    def _content(self, event: bytes) -> Verdict:
        """Note an event with content; only the first is told."""
        self._produced.add(event)
        if self._begun:
            return Verdict.PASS
        self._begun = True
        return Verdict.CONTENT

    def _learn_name(self, event: bytes) -> None:
        """Events that begin with this event's name, and go on to their data, are content as well."""
        position = event.find(b"data:")
        if position > 0 and event.startswith(b"event:"):
            self.straight.learn(event[: position + len(b"data:")])

    def _unreadable(self, data: bytes) -> Verdict:
        """Of an event that is no JSON object. After the first content it is the client's to judge."""
        return self._broken(MALFORMED) if data and not self._begun else PASS

    def _broken(self, error: tuple[str, str]) -> Verdict:
        self._error = error
        return Verdict.BROKEN

    def _terminal(self) -> Verdict:
        self._complete = True
        return Verdict.TERMINAL

    def _failed(self, fields: Fields) -> Verdict:
        self._error = error_of(fields)
        return Verdict.ERROR

    def _note_usage(self, fields: Fields) -> bool:
        """Take an event's usage, if it has one; a later one replaces an earlier one."""
        usage = read_usage(self._dialect, fields)
        if usage is None:
            return False
        self._usage = usage
        return True
