"""Work that ends after its answer: seen to be done in any answer about it, asked about where nobody asks, booked once.

Who asks first does not matter (`keyvault.metering.deferred`). A provider that tells usage is believed; a batch without
it is counted from its results, up to a bound; what nobody can tell within `GIVE_UP_MS` is booked as unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import structlog

from keyvault.clock import Clock
from keyvault.domain.ledger import Outcome
from keyvault.domain.objects import BATCHES, KINDS, State, StoredObject
from keyvault.domain.routes import Target
from keyvault.errors import GatewayError
from keyvault.metering import deferred
from keyvault.metering.deferred import Counted, End, Line
from keyvault.metering.ledger import Ledger
from keyvault.proxy.headers import Headers, to_provider
from keyvault.proxy.isolation.naming import ids_at
from keyvault.proxy.isolation.outcomes import counted_in, counted_in_results, end_of, is_done
from keyvault.proxy.supervision import Stopping
from keyvault.proxy.tables import ServingUpstream, Tables
from keyvault.proxy.upstream import Pool, UpstreamFailure
from keyvault.proxy.upstream.fetching import Fetched, fetch
from keyvault.storage import due
from keyvault.storage import objects as rows
from keyvault.storage.engine import Database

log = structlog.get_logger()

FIRST_LOOK_MS: Final = 30_000
LONGEST_WAIT_MS: Final = 3_600_000
GIVE_UP_MS: Final = 30 * 86_400_000
AT_ONCE: Final = 10
"""How many objects are asked about in one turn."""
TURN_SECONDS: Final = 2.0
MAX_RESULTS: Final = 32 * 1024 * 1024
"""Bytes of a batch's results that are read to count them."""
MAX_ANSWER: Final = 8 * 1024 * 1024

_ASKING: Final[Headers] = [
    (b"accept", b"application/json"),
    (b"anthropic-version", b"2023-06-01"),
    (b"openai-beta", b"assistants=v2"),
]
"""Each provider reads its own and ignores the other's."""

_answer = msgspec.json.Decoder(dict[str, Any])


class Settling:
    """Settles what is pending. For the event loop; what blocks runs in threads."""

    def __init__(
        self, database: Database, clock: Clock, ledger: Ledger, tables: Tables, pool: Pool, worker: str
    ) -> None:
        self._database = database
        self._clock = clock
        self._ledger = ledger
        self._tables = tables
        self._pool = pool
        self._worker = worker

    async def follow(self, stopping: Stopping) -> None:
        """Ask, again and again, about what is due."""
        while not stopping.is_set():
            try:
                await self.look()
            except GatewayError as error:
                log.error("pending work could not be looked at", reason=error.message)
            await stopping.within(TURN_SECONDS)

    async def look(self) -> int:
        """Ask about what is due now; how many objects were booked."""
        found = await asyncio.to_thread(self._take)
        return sum([await self._ask(each) for each in found])

    async def told(self, found: StoredObject, answer: Mapping[str, Any]) -> bool:
        """An answer about a pending object has been seen; whether it is booked now."""
        if found.state is not State.PENDING or not is_done(answer):
            return False
        counted = counted_in(found.kind, answer, found.model)
        if counted is None:
            await asyncio.to_thread(self._postpone, found, self._clock.now_ms())
            return False
        return await self._book(found, counted, end_of(found.kind, answer, counted))

    def _take(self) -> list[StoredObject]:
        """What is due, so that no other worker asks about it at the same time."""
        now_ms = self._clock.now_ms()
        with self._database.read() as tx:
            if not due.anything(tx, now_ms):
                return []
        with self._database.write() as tx:
            return [each for each in rows.due(tx, now_ms, AT_ONCE) if rows.postpone(tx, each, _next(each, now_ms))]

    def _postpone(self, found: StoredObject, due_ms: int) -> None:
        with self._database.write() as tx:
            rows.postpone(tx, found, due_ms)

    async def _ask(self, found: StoredObject) -> bool:
        path = KINDS[found.kind].settles_at
        serving = self._serving(found)
        asked: Fetched | None = None
        if path is not None and serving is not None:
            asked = await self._fetch(serving, path.format(id=found.object_id, parent=found.parent), MAX_ANSWER)
        answer = _read(asked)
        if answer is not None and serving is not None and is_done(answer):
            await self._note_made(found, answer)
            counted = counted_in(found.kind, answer, found.model) or await self._count(found, answer, serving)
            if counted is not None:
                return await self._book(found, counted, end_of(found.kind, answer, counted))
        gone = asked is not None and asked.status in (404, 410)
        if gone or self._clock.now_ms() - found.created_ms > GIVE_UP_MS:
            text = "the provider no longer knows it" if gone else "the provider never said that it is done"
            return await self._book(found, [Counted(found.model or "")], End(Outcome.LOST, "never_settled", text))
        return False

    async def _count(
        self, found: StoredObject, answer: Mapping[str, Any], serving: ServingUpstream
    ) -> list[Counted] | None:
        """A batch counted from its results; None where they may be had later."""
        if found.kind == "message_batch":
            path = f"/messages/batches/{found.object_id}/results"
        elif ids := list(ids_at(answer, "output_file_id")):
            path = f"/files/{ids[0]}/content"
        else:
            return [Counted(found.model or "")]
        results = await self._fetch(serving, path, MAX_RESULTS)
        if results is None or results.status >= 500:
            return None
        if results.status != 200 or results.cut:
            return [Counted(found.model or "")]
        return await asyncio.to_thread(counted_in_results, found.kind, results.body, found.model)

    async def _note_made(self, found: StoredObject, answer: Mapping[str, Any]) -> None:
        """The files that a batch made belong to whom the batch does."""
        made = [
            StoredObject(
                object_id=made_id,
                upstream=found.upstream,
                kind=kind,
                project_id=found.project_id,
                key_id=found.key_id,
                generation=found.generation,
                credential_id=found.credential_id,
                created_ms=self._clock.now_ms(),
                parent=found.object_id,
            )
            for path, kind in KINDS[found.kind].makes.items()
            for made_id in ids_at(answer, path)
        ]
        if made:
            await asyncio.to_thread(self._add, made)

    def _add(self, made: list[StoredObject]) -> None:
        with self._database.write() as tx:
            rows.add(tx, made)

    async def _fetch(self, serving: ServingUpstream, path: str, limit: int) -> Fetched | None:
        head = to_provider(
            "GET",
            serving.origin.path + path,
            _ASKING,
            host=serving.host,
            auth=serving.auth,
            extra=serving.extra,
            request_id=self._clock.ulid(),
            content_length=0,
        )
        try:
            return await fetch(self._pool, serving.origin, head, limit)
        except UpstreamFailure as failure:
            log.warning("pending work could not be asked about", reason=failure.text)
            return None

    def _serving(self, found: StoredObject) -> ServingUpstream | None:
        chooser = self._tables.upstreams.get(found.upstream)
        if chooser is None:
            return None
        kept = chooser.by_id(found.credential_id) if found.credential_id is not None else None
        return kept or chooser.choose()

    async def _book(self, found: StoredObject, counted: Sequence[Counted], end: End) -> bool:
        multiplier = self._tables.multiplier_ppm(found.key_id)
        if multiplier is None:
            log.error("not booked, nobody vouches for its key", object=found.object_id, upstream=found.upstream)
            return False  # it stays pending; the guard's doubt becomes an alert
        lines = [self._line(found, each) for each in counted]
        booked = await asyncio.to_thread(self._booked, found, lines, end, multiplier)
        if booked:
            log.info("booked", object=found.object_id, kind=found.kind, upstream=found.upstream, code=end.code)
        return booked

    def _line(self, found: StoredObject, counted: Counted) -> Line:
        target = Target(found.upstream, counted.model)
        chooser = self._tables.upstreams.get(found.upstream)
        catalogue = next(iter(chooser)).opened.upstream.catalogue if chooser is not None else None
        find = self._tables.prices.find_batch if found.kind in BATCHES else self._tables.prices.find
        price = find(found.upstream, catalogue, counted.model, found.created_ms)
        return Line(counted, target, self._ledger.alias_id(counted.model), self._ledger.target_id(target), price)

    def _booked(self, found: StoredObject, lines: Sequence[Line], end: End, multiplier: int) -> bool:
        spending = self._ledger.spending
        return deferred.book(self._database, self._clock, self._worker, found, lines, end, multiplier, spending)


def _next(found: StoredObject, now_ms: int) -> int:
    """Old work is asked about ever more rarely."""
    age_ms = max(0, now_ms - found.created_ms)
    return now_ms + min(max(FIRST_LOOK_MS, age_ms // 10), LONGEST_WAIT_MS)


def _read(asked: Fetched | None) -> dict[str, Any] | None:
    if asked is None or asked.status != 200 or asked.cut:
        return None
    try:
        return _answer.decode(asked.body)
    except msgspec.DecodeError:
        return None
