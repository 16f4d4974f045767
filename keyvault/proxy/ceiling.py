"""A stream's ceiling: how many tokens were paid for, and the end that the gateway makes where a provider goes on.

No token is less than a byte of text, and no text is longer than what its events added: so most streams end before
there is anything to count, and others are counted about half a dozen times. Streams that nothing is held for have no
ceiling and pay nothing for it. A provider that keeps its cap never meets it: counts of the gateway's own may be high by
what is allowed here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from keyvault.domain.endpoints import Dialect
from keyvault.domain.ledger import Basis
from keyvault.metering.usage import count_text, estimate_input
from keyvault.proxy.dialects.ends import end_of
from keyvault.proxy.dialects.metered import Metered, StreamMeter, Verdict

HIGH: Final = {Basis.TOKENIZER: (105, 100), Basis.ESTIMATE: (125, 100)}
"""How much a count may be too high, as a fraction; and a few tokens more, for short answers."""
FEW: Final = 16
LEAST_BYTES: Final = 128
"""Of what events add, between two looks."""

_ITEM: Final = b"event: response.output_item.added"


class Ceiling:
    """The ceiling of one attempt's stream. `meter` stands in for the stream's own; `end` closes it for the client."""

    def __init__(self, dialect: Dialect, model: str, tokens: int, *, choices: int, asked: bytes | None) -> None:
        """`tokens`: of all choices together; `asked`: the body of a client that wants the usage event."""
        self._dialect = dialect
        self._model = model
        self._tokens = tokens
        self._choices = choices
        self._asked = asked
        self._meter: _CappedMeter | None = None

    def over(self, new_meter: Callable[[], StreamMeter]) -> Callable[[], StreamMeter]:
        """What makes the stream's meter, with the ceiling over it."""

        def made() -> StreamMeter:
            item = _ITEM if self._dialect is Dialect.RESPONSES else b"\0"
            self._meter = _CappedMeter(new_meter(), self._model, self._tokens, item)
            return self._meter

        return made

    def end(self) -> bytes:
        """The events that end the stream. Asked once the meter has said `HELD`."""
        meter = self._meter
        assert meter is not None
        text = meter.metered().produced[meter.item_at :]
        entered = None if self._asked is None else estimate_input(self._asked)
        return end_of(
            self._dialect, meter.first, meter.last, text, meter.counted, choices=self._choices, entered=entered
        )


class _CappedMeter:
    """A meter that looks how far a stream has come."""

    __slots__ = ("_due", "_inner", "_item", "_model", "_tokens", "counted", "first", "item_at", "last", "straight")

    def __init__(self, inner: StreamMeter, model: str, tokens: int, item: bytes) -> None:
        self._inner = inner
        self._model = model
        self._tokens = tokens
        self._item = item
        self._due = tokens
        """Bytes of text that are counted next."""
        self.straight = inner.straight
        self.straight.left = 0  # the first event is looked at
        self.counted = 0
        self.first = self.last = b""
        self.item_at = 0
        """Where in the text the item under way begins."""

    def feed(self, event: bytes) -> Verdict:
        verdict = self._inner.feed(event)
        self.straight.left -= self.straight.added_by(event)
        if event.startswith(self._item):
            self.item_at = len(self._inner.metered().produced)
        if self.straight.left > 0 or verdict > Verdict.CONTENT:
            return verdict
        return self._look(event, verdict)

    def metered(self) -> Metered:
        return self._inner.metered()

    def text_bytes(self) -> int:
        return self._inner.text_bytes()

    def unfinished(self) -> tuple[str, str] | None:
        return self._inner.unfinished()

    def _look(self, event: bytes, verdict: Verdict) -> Verdict:
        self.first = self.first or event
        come = self._inner.text_bytes()
        if come >= self._due:
            left = self._count()
            if left < 0:
                self.last = event
                return Verdict.HELD
            self._due = come + left
        self.straight.left = max(LEAST_BYTES, self._due - come)
        return verdict

    def _count(self) -> int:
        """How many tokens may still come; negative where there were too many."""
        metered = self._inner.metered()
        self.counted, basis = count_text(metered.produced, self._model)
        most, of = HIGH[basis]
        left = self._tokens * most // of + FEW - self.counted
        return max(0, left) if metered.complete else left
