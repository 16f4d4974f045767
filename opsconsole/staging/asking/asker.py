"""One connection pool to one place, and the question put to it."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from keyvault.proxy.dialects.sse import OversizedEvent, SseFramer, read_event
from opsconsole.staging.asking.answer import Answer, Event
from opsconsole.staging.asking.place import Place
from opsconsole.staging.asking.said import has_content

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS: Final = 120.0
MAX_CONNECTIONS: Final = 200


class Asker:
    """Asks one place. An asynchronous context manager; may ask many questions at once."""

    def __init__(
        self,
        place: Place,
        *,
        timeout: float = TIMEOUT_SECONDS,
        monotonic: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`timeout`: the longest silence, and the longest time to connect, in seconds."""
        self.place = place
        self._timeout = timeout
        self._monotonic = monotonic
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        import httpx

        trust = ssl.create_default_context(cafile=self.place.ca_file or None)
        self._client = httpx.AsyncClient(
            timeout=self._timeout,
            verify=trust,
            trust_env=False,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def ask(
        self,
        path: str,
        body: bytes | Mapping[str, Any] | None = None,
        *,
        method: str = "POST",
        headers: Mapping[str, str] = {},
    ) -> Answer:
        """What comes back for one request; a failure of the network is an answer too, never raised."""
        import httpx

        assert self._client is not None, "used as a context manager"
        content = body if isinstance(body, bytes | None) else msgspec.json.encode(body)
        given = {**self.place.headers_for(path), **({"content-type": "application/json"} if content else {}), **headers}
        reading = _Reading(self._monotonic)
        try:
            request = self._client.build_request(method, self.place.url(path), content=content, headers=given)
            response = await self._client.send(request, stream=True)
            try:
                reading.head(response)
                async for piece in response.aiter_raw():
                    reading.feed(piece)
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, OversizedEvent, ValueError) as error:
            return reading.answer(_reason(error))
        return reading.answer(None)


class _Reading:
    """An answer as it comes."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._began = monotonic()
        self._status: int | None = None
        self._headers: tuple[tuple[str, str], ...] = ()
        self._framer: SseFramer | None = None
        self._pieces: list[bytes] = []
        self._events: list[Event] = []
        self._first_content_ms: float | None = None

    def head(self, response: httpx.Response) -> None:
        self._status = response.status_code
        pairs = response.headers.raw
        self._headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in pairs)
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            self._framer = SseFramer()

    def feed(self, piece: bytes) -> None:
        self._pieces.append(piece)
        if self._framer is not None:
            for event in self._framer.feed(piece):
                self._add(event)

    def answer(self, failure: str | None) -> Answer:
        now = self._elapsed_ms()
        if self._framer is not None and (rest := self._framer.flush()):
            self._add(rest)
        if self._framer is None and failure is None:
            self._first_content_ms = now
        return Answer(
            status=self._status,
            headers=self._headers,
            body=b"".join(self._pieces),
            events=tuple(self._events),
            first_content_ms=self._first_content_ms,
            total_ms=now,
            failure=failure,
        )

    def _add(self, raw: bytes) -> None:
        name, data = read_event(raw)
        if not name and not data:
            return  # a comment, which keeps a connection open
        event = Event(name.decode("utf-8", "replace"), data.decode("utf-8", "replace"), self._elapsed_ms())
        self._events.append(event)
        if self._first_content_ms is None and has_content(event.json()):
            self._first_content_ms = event.at_ms

    def _elapsed_ms(self) -> float:
        return (self._monotonic() - self._began) * 1000


def _reason(error: Exception) -> str:
    """Why there is no whole answer, in words; never what was sent."""
    import httpx

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {cause.reason or 'no reason given'}".lower().replace("tls", "TLS", 1)
        if isinstance(cause, ConnectionRefusedError):
            return "connection refused"
        if isinstance(cause, OSError) and cause.strerror and cause.errno:
            return cause.strerror.lower()
        cause = cause.__cause__ or cause.__context__
    match error:
        case httpx.ConnectTimeout():
            return "no connection in time"
        case httpx.TimeoutException() | asyncio.TimeoutError():
            return "silent for too long"
        case httpx.RemoteProtocolError():
            return "the connection ended in the middle of the answer"
        case httpx.ConnectError():
            return "no connection: the name or address is not reached"
        case OversizedEvent():
            return str(error)
    return f"the request failed ({type(error).__name__})"
