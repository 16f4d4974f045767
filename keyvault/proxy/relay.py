"""One provider's answer on its way to one client.

A `Relay` is the sink of one provider connection. Streams pass in whole SSE events, as they come; until the first
*content* the events are held back, so that a failure can still go to another target. Everything that would tell the
client's SDK "this answer is complete" is held back until the caller has settled the attempt: the terminal event of a
stream, the whole of a collected answer, the last segment of a large one. The coroutine waits on `ending` alone; there
is no task switch per event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from keyvault.proxy.ceiling import Ceiling
from keyvault.proxy.dialects.meter import PASS, StreamMeter, Verdict
from keyvault.proxy.dialects.sse import OversizedEvent, SseFramer
from keyvault.proxy.dialects.straight import MOST_PIECES, Straight
from keyvault.proxy.ending import WITHDRAWN, Ending, Patience
from keyvault.proxy.headers import Headers, to_client
from keyvault.proxy.http1 import Exchange
from keyvault.proxy.upstream import UpstreamConnection, UpstreamFailure

HOLD_BACK_SECONDS: Final = 10.0
"""How long heads and pings of a stream wait for content before the answer is committed all the same."""

HOLD_BACK_BYTES: Final = 256 * 1024
"""How much of them, as whole events, is held; beyond it the client takes them, at its own pace."""

BROKEN: Final = ("malformed_answer", "the provider's stream is none")

MAX_WHOLE: Final = 64 * 1024 * 1024
"""How large an answer may be that is needed whole before any of it goes on."""

TAIL_BYTES: Final = 64 * 1024
"""How much of the end of a large answer is kept, to find its usage in."""


class Relay:
    """Sink of one attempt's answer. Await `ending`; call `check` a few times a second until it is done."""

    def __init__(
        self,
        exchange: Exchange,
        connection: UpstreamConnection,
        new_meter: Callable[[], StreamMeter],
        patience: Patience,
        *,
        added: Callable[[], Headers],
        began: float,
        deadline: float,
        secrets: Sequence[str],
        max_collected: int,
        expects_stream: bool | None = None,
        whole: bool = False,
        ceiling: Ceiling | None = None,
        on_content: Callable[[], None] | None = None,
    ) -> None:
        """`added`: the gateway's own headers of the answer. `began`, `deadline`: loop times. `max_collected`: larger
        answers go on as they come. `expects_stream`: False where the client could not read one. `whole`: an
        answer that is no stream is needed whole before any of it goes on. `ceiling`: what a stream may come to.
        `on_content`: called once, when the first content of an answer that goes on as it comes is there."""
        self.ending: asyncio.Future[Ending] = connection.loop.create_future()
        self._exchange = exchange
        self._connection = connection
        self._new_meter = new_meter if ceiling is None else ceiling.over(new_meter)
        self._ceiling = ceiling
        self._on_content = on_content
        self._meter: StreamMeter
        self._framer: SseFramer
        self._patience = patience
        self._streams = expects_stream is not False
        self._collect_bytes = max(max_collected, MAX_WHOLE) if whole else max_collected
        self._whole = whole
        self._began = self._heard = began
        self._silent = True
        """Nothing was read since `_heard`. The sweep notes the time, so that no event asks for it."""
        self._left = 0
        """What `check` saw of `Straight.left`: it is less once something has gone that way."""
        self._deadline = deadline
        self._added = added
        self._secrets = secrets
        self._time = connection.loop.time
        self._status: int | None = None
        self._headers: Headers = []
        self.streaming = False
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._committed = False
        self._paused = False
        self._content_at: float | None = None

    @property
    def answering(self) -> bool:
        """Whether the first content has come."""
        return self._content_at is not None

    # Flow: the client does not read, so neither do we. Once the answer has ended, the connection may serve another.

    def pause_reading(self) -> None:
        self._paused = True
        if not self.ending.done():
            self._connection.pause_reading()

    def resume_reading(self) -> None:
        self._paused = False
        self._silent = False
        if not self.ending.done():
            self._connection.resume_reading()

    # Sink: what the provider sends.

    def on_head(self, status: int, headers: Headers) -> None:
        self._status, self._headers = status, headers
        self._silent = False
        if status == 200 and is_stream(headers):
            if not self._streams:
                self._give_up("wrong_content_type", "no stream was asked for, the provider sent one")
                return
            self.streaming, self._meter, self._framer = True, self._new_meter(), SseFramer()

    def on_data(self, data: bytes) -> None:
        if self.ending.done():
            return
        self._silent = False
        if not self.streaming:
            self._on_body(data)
            return
        try:
            events = self._framer.feed(data)
        except OversizedEvent as error:
            self._give_up(error.code, error.message)
            return
        self._on_events(events)

    def shortcut(self) -> Straight | None:
        if not self._committed or not self.streaming or self._framer.within_event or self.ending.done():
            return None
        outlet, straight = self._exchange.outlet_for_chunks, self._meter.straight
        if outlet is None:
            return None
        straight.outlet = outlet
        return straight

    def on_end(self) -> None:
        if self.ending.done():
            return
        if not self.streaming:
            self._end(None)
            return
        if rest := self._framer.flush():
            self._on_events([rest])
        if not self.ending.done():
            self._end(self._meter.unfinished())

    def on_failure(self, error: UpstreamFailure) -> None:
        if not self.ending.done():
            self._end((error.code, error.text), stale=self._connection.reused and not error.bytes_received)

    def check(self, now: float) -> None:
        """Gives up on a provider that takes too long, commits what was held long enough. Swept a few times a second."""
        if self.ending.done():
            return
        left = self._look_at_straight() if self.streaming else 0
        if not self._silent or left != self._left:
            self._heard, self._silent, self._left = now, True, left
        limits = self._patience
        if now > self._deadline:
            self._give_up("total_timeout", f"not complete within {limits.total:g} s")
        elif self._paused:
            return
        elif self._content_at is None and now - self._began > limits.first_content:
            self._give_up("first_content_timeout", f"no content within {limits.first_content:g} s")
        elif now - self._heard > limits.idle:
            self._give_up("idle_timeout", f"nothing received for {limits.idle:g} s")
        elif self.streaming and not self._committed and now - self._began > HOLD_BACK_SECONDS and self._held:
            self._commit()

    def _look_at_straight(self) -> int:
        """How many bytes may still go that way; the texts of what went there are kept from becoming many."""
        straight = self._meter.straight
        if len(straight.pieces) > MOST_PIECES:
            straight.read()
        return straight.left

    def stop(self) -> Ending:
        """Cancel the provider's call and say what was produced until now: the client has left, or time is up."""
        if not self.ending.done() or self._connection.pours_into(self):  # else it may serve another request by now
            self._connection.close()
        return replace(self._ending(None), cancelled=True)

    def cut(self) -> None:
        """End the answer where it is: its caller's access was withdrawn."""
        if not self.ending.done():
            self._connection.close()
            self.ending.set_result(replace(self._ending(WITHDRAWN), cut=True))

    def _give_up(self, code: str, text: str) -> None:
        self._connection.close()
        self._end((code, text))

    def _on_events(self, events: list[bytes]) -> None:
        held = self._held
        for event in events:
            verdict = self._meter.feed(event)
            if verdict is PASS:
                held.append(event)
                self._held_bytes += len(event)
            elif self._ends_with(event, verdict):
                return
        if self._committed:
            self._send_held()
        elif self._held_bytes > HOLD_BACK_BYTES:
            self._commit()

    def _ends_with(self, event: bytes, verdict: Verdict) -> bool:
        """Act on an event that does more than pass, and say whether it is the stream's last."""
        if verdict is Verdict.DROP:
            return False
        if verdict is Verdict.CONTENT:
            self._held.append(event)
            if self._content_at is None:
                self._note_content()
            if not self._committed:
                self._commit_head()
            return False
        if verdict is Verdict.HELD:
            self._end_at_hold(event)
            return True
        if verdict is Verdict.BROKEN:
            self._give_up(*self._meter.metered().error or BROKEN)
            return True
        if self._committed:
            self._send_held()
        self._held.append(event)
        told = verdict is Verdict.ERROR
        self._end(self._meter.metered().error if told else None, told=told)
        return True

    def _end_at_hold(self, event: bytes) -> None:
        """The provider would go on beyond what was held: its call ends now, and the client's stream as its dialect
        ends an answer that was cut at its length."""
        assert self._ceiling is not None
        self._connection.close()
        if self._committed:
            self._send_held()
        self._held += (event, self._ceiling.end())
        self._end(None, held=True)

    def _send_held(self) -> None:
        self._exchange.send(b"".join(self._held))
        self._held.clear()

    def _on_body(self, data: bytes) -> None:
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes <= self._collect_bytes:
            return
        if self._whole and (self._status or 0) < 400:
            self._give_up("answer_too_large", f"larger than {self._collect_bytes >> 20} MB")
            return
        held = b"".join(self._held)
        if not self._committed:
            self._note_content()
            self._commit_head()
        self._exchange.send(held[:-TAIL_BYTES])
        self._held = [held[-TAIL_BYTES:]]
        self._held_bytes = TAIL_BYTES
        self._collect_bytes = 4 * TAIL_BYTES

    def _note_content(self) -> None:
        self._content_at = self._time()
        if self._on_content is not None and (self._status or 0) < 300:
            self._on_content()

    def _commit(self) -> None:
        self._commit_head()
        self._send_held()

    def _commit_head(self) -> None:
        self._committed = True
        self._exchange.flow = self
        assert self._status is not None
        length = None if self.streaming else content_length(self._headers)
        self._exchange.start(self._status, to_client(self._headers, self._secrets) + self._added(), length=length)

    def _end(
        self, failure: tuple[str, str] | None, *, stale: bool = False, told: bool = False, held: bool = False
    ) -> None:
        if not self.streaming and failure is None and (self._status or 0) < 400:
            self._content_at = self._content_at or self._time()
        ending = self._ending(failure)
        if stale or told or held:
            ending.stale_connection, ending.told, ending.held = stale, told, held
        self.ending.set_result(ending)

    def _ending(self, failure: tuple[str, str] | None) -> Ending:
        metered = self._meter.metered() if self.streaming else None
        ending = Ending(self._status, self._headers, b"".join(self._held), self._committed, metered, None, failure)
        ending.first_content_at = self._content_at
        return ending


def is_stream(headers: Headers) -> bool:
    """Whether an answer is server-sent events that can be read: not encoded, though identity was asked for."""
    kinds = dict(headers)
    if not kinds.get(b"content-type", b"").lower().startswith(b"text/event-stream"):
        return False
    return kinds.get(b"content-encoding", b"identity").lower() == b"identity"


def content_length(headers: Headers) -> int | None:
    for name, value in headers:
        if name == b"content-length":
            return int(value)
    return None
