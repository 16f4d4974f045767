"""What a meter says of one event, and of a whole answer."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Protocol

from msgspec import Struct

from keyvault.domain.ledger import NO_USAGE, Basis, Usage
from keyvault.proxy.dialects.straight import Straight


class Verdict(IntEnum):
    """What an event is to the relay."""

    PASS = 0
    """Nothing to act on."""
    CONTENT = 1
    """The first content: a text, reasoning or tool delta. Said once a stream."""
    DROP = 2
    """The usage event the gateway asked for and the client did not."""
    TERMINAL = 3
    """The event at which the dialect's SDK takes the answer for complete."""
    ERROR = 4
    """The provider gave up: an error event, or a response that failed before its first content."""
    BROKEN = 5
    """Before any content: an event that no SDK can read, or an end that nothing came before."""
    HELD = 6
    """The stream has produced what was paid for: it ends here, whatever the provider would still send."""


PASS: Final = Verdict.PASS
"""For the path of every event: looking a member up in its enum costs 0.1 µs, twice an event."""


class Metered(Struct, frozen=True):
    """What is known of an answer, complete or not."""

    usage: Usage = NO_USAGE
    """What the provider told. May be partial while the basis is unknown: Anthropic tells the input first."""
    basis: Basis = Basis.UNKNOWN
    """Provider where the provider told both sides, else unknown."""
    produced: str = ""
    """The text, reasoning and tool arguments generated, to be counted where the provider's count is missing."""
    complete: bool = False
    """The answer ended as its dialect ends."""
    error: tuple[str, str] | None = None
    """Code and text of the provider's error, not yet scrubbed of credentials but for what looks like a token."""
    provider_request_id: str | None = None
    readable: bool = True
    """It is what its dialect's answers are: JSON where that is expected."""
    sealed: tuple[str, ...] = ()
    """The reasoning that only its maker can read, of dialects whose conversations carry it."""


class StreamMeter(Protocol):
    """Reads beside a stream, one whole event at a time."""

    @property
    def straight(self) -> Straight:
        """Where plain events may go instead of being fed."""
        ...

    def feed(self, event: bytes) -> Verdict: ...

    def metered(self) -> Metered:
        """What is known by now. May be asked at any time."""
        ...

    def text_bytes(self) -> int:
        """The bytes of text produced by now, as they came: no fewer than its tokens."""
        ...

    def unfinished(self) -> tuple[str, str] | None:
        """Asked when a stream ends without its terminal event: the error that is, or None where it was complete."""
        ...
