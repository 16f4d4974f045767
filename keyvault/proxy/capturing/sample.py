"""One request that was drawn: what it is answered with, kept as it goes to the client, and what the ledger says of it.

Everything here happens on the event loop, so it only holds on to bytes that are there anyway. `Taken` is what goes to
the recorder's thread; it holds nothing of the request that could change.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from keyvault.domain.ledger import Settlement
from keyvault.proxy.admission import query_for_provider
from keyvault.proxy.capturing.kept import Kept, Room
from keyvault.proxy.headers import TO_PROVIDER, Headers
from keyvault.proxy.http1 import Request

if TYPE_CHECKING:
    from keyvault.proxy.admission import Call
    from keyvault.proxy.attempt import Attempt
    from keyvault.proxy.capturing.capturing import Capturing
    from keyvault.proxy.capturing.recorder import Recording

LARGEST_EXCHANGE: Final = 8 * 1024 * 1024
"""Bytes of a request's and its answer's body together; what is more is left out."""


class Taken(Struct, frozen=True):
    """An exchange that is over, for the recorder."""

    recordings: tuple[Recording, ...]
    request: Request
    request_id: str
    path: str
    query: str
    at_ms: int
    body: bytes | None
    kept: Kept
    model: str | None
    target: str | None
    booked: Settlement | None
    first_content_ms: int | None
    total_ms: int
    key: str
    customer: str
    project: str
    tags: str | None
    secrets: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes that it holds in memory, about."""
        return len(self.body or b"") + self.kept.size

    def only(self, recordings: tuple[Recording, ...]) -> Taken:
        return replace(self, recordings=recordings)

    @property
    def headers(self) -> Headers:
        """Of the request, those that a provider may see: no credentials, no cookies."""
        return [header for header in self.request.headers if header[0] in TO_PROVIDER]


class Sample:
    """What is gathered while a request that was drawn is served."""

    __slots__ = ("_attempt", "_booked", "_capturing", "_time", "at_ms", "kept", "recordings")

    def __init__(
        self, capturing: Capturing, recordings: tuple[Recording, ...], at_ms: int, body_bytes: int, room: Room
    ) -> None:
        self._capturing = capturing
        self._time = asyncio.get_running_loop().time
        self.recordings = recordings
        self.at_ms = at_ms
        self.kept = Kept(max(0, LARGEST_EXCHANGE - body_bytes), room)
        self._attempt: Attempt | None = None
        self._booked: Settlement | None = None

    def settled(self, attempt: Attempt, booked: Settlement) -> None:
        """An attempt is over; the last one counts."""
        self._attempt, self._booked = attempt, booked

    def close(self, call: Call) -> None:
        """The request is over, however: hand over what there is of it."""
        self.kept.over()
        self._capturing.take(call, self._taken(call))

    def _taken(self, call: Call) -> Taken:
        attempt, booked, request = self._attempt, self._booked, call.exchange.request
        first = booked.first_content_ms if booked is not None else None
        if first is not None and attempt is not None:
            first += round((attempt.began - call.started) * 1000)
        return Taken(
            recordings=self.recordings,
            request=request,
            request_id=call.request_id,
            path=request.path,
            query=query_for_provider(request.query)[1:],
            at_ms=self.at_ms,
            body=request.body if len(request.body) <= LARGEST_EXCHANGE else None,
            kept=self.kept,
            model=call.model,
            target=None if attempt is None else str(attempt.planned.target),
            booked=booked,
            first_content_ms=first,
            total_ms=max(0, round((self._time() - call.started) * 1000)),
            key=call.caller.key_name,
            customer=call.payer.customer,
            project=call.payer.project,
            tags=call.tags,
            secrets=() if attempt is None else attempt.upstream.secrets,
        )
