"""What becomes of the answer to an isolated key: what it made is put on record, what is not the caller's is left out.

The record is durable before the answer's end is sent. A list keeps its shape; where a page has nothing of the caller's
and the provider has more, the following pages are asked for, up to `MAX_PAGES`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import msgspec
import structlog
from msgspec.structs import replace

from keyvault.clock import Clock
from keyvault.domain.objects import ID, KINDS, Action, State, StoredObject
from keyvault.proxy.admission import Call, query_for_provider
from keyvault.proxy.dialects.base import decode_object
from keyvault.proxy.dialects.meter import Metered, StreamMeter, Verdict
from keyvault.proxy.dialects.sse import read_event
from keyvault.proxy.ending import Ending
from keyvault.proxy.headers import to_provider
from keyvault.proxy.isolation.claim import Claim
from keyvault.proxy.isolation.naming import ids_at
from keyvault.proxy.isolation.settling import FIRST_LOOK_MS, MAX_ANSWER, Settling
from keyvault.proxy.tables import ServingUpstream
from keyvault.proxy.upstream import Pool, UpstreamFailure
from keyvault.proxy.upstream.fetching import fetch
from keyvault.storage import objects as rows
from keyvault.storage.engine import Database

log = structlog.get_logger()

MAX_PAGES: Final = 50
PAGE: Final = 100
"""Objects asked for on a following page; more than this no provider gives."""
USUAL_LIMIT: Final = 20
EVENTS_LOOKED_AT: Final = 8
"""At the beginning of a stream, until it has told what it makes."""

_ASSISTANTS: Final[Mapping[str, str]] = {"thread": "thread", "thread.run": "run", "thread.message": "message"}
"""What the `object` of an assistants answer or event says → kind; steps and deltas are none of ours."""
_TELLING: Final = (b"event: thread.run.", b"event: message_delta")
"""How events begin that tell something at any time of a stream."""

Fields = Mapping[str, Any]
Seen = Callable[[Fields], None]


class Answers:
    """Follows the answers of isolated keys. For the event loop; what blocks runs in threads."""

    def __init__(self, database: Database, clock: Clock, pool: Pool, settling: Settling) -> None:
        self._database = database
        self._clock = clock
        self._pool = pool
        self._settling = settling
        self._running: set[asyncio.Task[None]] = set()

    def watched(
        self, call: Call, upstream: str, serving: ServingUpstream, new_meter: Callable[[], StreamMeter]
    ) -> Callable[[], StreamMeter]:
        """A meter that also notes what a stream says it makes, as soon as it says so."""
        claim = call.claim
        if claim is None or not claim.whole:
            return new_meter
        return lambda: _Watched(new_meter(), lambda answer: self._see(call, claim, upstream, serving, answer))

    async def answered(
        self, call: Call, claim: Claim, upstream: str, serving: ServingUpstream, ending: Ending
    ) -> Ending:
        """The ending as the caller may have it. Raises `Unavailable` where it cannot be put on record."""
        if claim.recording is not None:
            await claim.recording
        if ending.refused or ending.failure is not None or ending.metered is not None or not claim.whole:
            return ending
        if claim.operation is not None and claim.operation.action is Action.DELETE:
            await asyncio.to_thread(self._forget, upstream, claim.last or "")
            return ending
        answer = decode_object(ending.body)
        if answer is None:
            log.error("an answer could not be read, so nothing of it is on record", path=call.path)
            return replace(ending, body=b"{}") if claim.lists else ending
        if claim.lists:
            answer = await self._listing(call, claim, upstream, serving, answer)
            ending = replace(ending, body=msgspec.json.encode(answer))
        await self._note(call, claim, upstream, serving, answer)
        return ending

    def _see(self, call: Call, claim: Claim, upstream: str, serving: ServingUpstream, answer: Fields) -> None:
        """One object in a stream: recorded in order, while the stream goes on, even if the client leaves."""
        before = claim.recording

        async def record() -> None:
            if before is not None:
                await before
            await self._note(call, claim, upstream, serving, answer)

        claim.recording = asyncio.ensure_future(record())
        self._running.add(claim.recording)
        claim.recording.add_done_callback(self._noted)

    def _noted(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("what a stream made could not be put on record", reason=str(error))

    async def _note(self, call: Call, claim: Claim, upstream: str, serving: ServingUpstream, answer: Fields) -> None:
        """Put on record what an answer says was made, and book what it says is done."""
        each = [item for item in _items(answer) if isinstance(item, Mapping)]
        made = [found for item in each for found in self._made(call, claim, upstream, serving, item)]
        ids = {str(item.get("id")) for item in each}
        pending = await asyncio.to_thread(self._record, made, ids, upstream)
        for item in each:
            found = pending.get(str(item.get("id")))
            if found is not None and found.project_id == claim.project_id:
                await self._settling.told(found, item)

    def _record(self, made: list[StoredObject], ids: set[str], upstream: str) -> dict[str, StoredObject]:
        """The objects among `ids` that are pending."""
        if made:
            with self._database.write() as tx:
                rows.add(tx, made)
        with self._database.read() as tx:
            found = rows.find(tx, ids)
        return {f.object_id: f for f in found if f.upstream == upstream and f.state is State.PENDING}

    def _made(
        self, call: Call, claim: Claim, upstream: str, serving: ServingUpstream, answer: Fields
    ) -> Iterable[StoredObject]:
        told = str(answer.get("object"))
        kind = _ASSISTANTS.get(told) if told.startswith("thread") else claim.kind
        if not kind:
            return
        pairs = [(answer["id"], kind)] if claim.creates and kind != "answer" and "id" in answer else []
        pairs += [(made, of) for path, of in KINDS[kind].makes.items() for made in ids_at(answer, path)]
        for made_id, of in pairs:
            if isinstance(made_id, str) and ID.match(made_id):
                yield self._object(call, claim, upstream, serving, answer, made_id, of)

    def _object(
        self,
        call: Call,
        claim: Claim,
        upstream: str,
        serving: ServingUpstream,
        answer: Fields,
        made_id: str,
        kind: str,
    ) -> StoredObject:
        now_ms = self._clock.now_ms()
        pending = claim.deferred and kind == claim.kind and KINDS[kind].settles_at is not None
        model, thread = answer.get("model"), answer.get("thread_id")
        return StoredObject(
            object_id=made_id,
            upstream=upstream,
            kind=kind,
            project_id=claim.project_id,
            key_id=call.caller.key_id,
            generation=call.caller.generation,
            credential_id=serving.credential_id,
            created_ms=now_ms,
            state=State.PENDING if pending else State.STORED,
            parent=thread if isinstance(thread, str) else claim.parent,
            model=model if isinstance(model, str) else call.model,
            due_ms=now_ms + FIRST_LOOK_MS if pending else None,
        )

    def _forget(self, upstream: str, object_id: str) -> None:
        with self._database.write() as tx:
            rows.forget(tx, upstream, object_id)

    # Lists.

    async def _listing(
        self, call: Call, claim: Claim, upstream: str, serving: ServingUpstream, page: Fields
    ) -> dict[str, Any]:
        """A page with the caller's own objects only, and with more pages read where it would be empty."""
        query = dict(parse_qsl(call.exchange.request.query, keep_blank_values=True))
        limit = int(query["limit"]) if query.get("limit", "").isdecimal() else USUAL_LIMIT
        kept = await self._kept(claim, upstream, page)
        pages = 1
        latest = page
        while not kept and latest.get("has_more") is True and pages < MAX_PAGES:
            following = await self._following(call, serving, latest, query)
            if following is None:
                break
            latest, pages = following, pages + 1
            kept = await self._kept(claim, upstream, latest)
        more = latest.get("has_more") is True or len(kept) > limit
        return _page(page, kept[: max(limit, 1)] if pages > 1 else kept, more=more)

    async def _kept(self, claim: Claim, upstream: str, page: Fields) -> list[Any]:
        items = [item for item in _items(page) if isinstance(item, Mapping)]
        own = await asyncio.to_thread(self._own_of, claim, upstream, {str(item.get("id")) for item in items})
        return [item for item in items if str(item.get("id")) in own]

    def _own_of(self, claim: Claim, upstream: str, ids: set[str]) -> set[str]:
        with self._database.read() as tx:
            found = rows.find(tx, ids)
        return {f.object_id for f in found if f.project_id == claim.project_id and f.upstream == upstream}

    async def _following(
        self, call: Call, serving: ServingUpstream, page: Fields, query: Mapping[str, str]
    ) -> Fields | None:
        """The page after one, asked for on the gateway's own account; None where it cannot be had."""
        ids = [str(item.get("id")) for item in _items(page) if isinstance(item, Mapping)]
        if not ids:
            return None
        back = next((name for name in ("before", "before_id") if name in query), None)
        forth = "after_id" if "first_id" in page and "object" not in page else "after"
        cursor = {back: ids[0]} if back else {forth: ids[-1]}
        others = {name: value for name, value in query.items() if name not in ("after", "after_id", "limit", back)}
        request = call.exchange.request
        head = to_provider(
            "GET",
            serving.origin.path + call.path + query_for_provider(urlencode({**others, **cursor, "limit": PAGE})),
            request.headers,
            host=serving.host,
            auth=serving.auth,
            extra=serving.extra,
            request_id=call.request_id,
            content_length=0,
        )
        try:
            found = await fetch(self._pool, serving.origin, head, MAX_ANSWER)
        except UpstreamFailure as failure:
            log.warning("a following page could not be read", reason=failure.text)
            return None
        return decode_object(found.body) if found.status == 200 and not found.cut else None


class _Watched:
    """A stream's meter, looked over the shoulder of."""

    __slots__ = ("_left", "_meter", "_see", "_seen", "straight")

    def __init__(self, meter: StreamMeter, see: Seen) -> None:
        self._meter = meter
        self.straight = meter.straight  # an event that only adds content tells of no object
        self._see = see
        self._seen: set[str] = set()
        self._left = EVENTS_LOOKED_AT

    def feed(self, event: bytes) -> Verdict:
        verdict = self._meter.feed(event)
        if verdict is Verdict.TERMINAL or event.startswith(_TELLING):
            self._look(event, anew=True)
        elif self._left:
            self._left -= 1
            self._look(event, anew=False)
        return verdict

    def metered(self) -> Metered:
        return self._meter.metered()

    def text_bytes(self) -> int:
        return self._meter.text_bytes()

    def unfinished(self) -> tuple[str, str] | None:
        return self._meter.unfinished()

    def _look(self, event: bytes, *, anew: bool) -> None:
        """See the object that an event is about, unless it was seen and nothing new is to be expected of it."""
        fields = decode_object(read_event(event)[1])
        if fields is None:
            return
        inner = next((fields[name] for name in ("response", "message", "delta") if name in fields), fields)
        if not isinstance(inner, Mapping) or not ("container" in inner or "object" in inner):
            return
        told = str(inner.get("id"))
        if anew or told not in self._seen:
            self._seen.add(told)
            self._see(inner)


def _items(answer: Fields) -> list[Any]:
    data = answer.get("data")
    return data if isinstance(data, list) else [answer]


def _page(page: Fields, kept: list[Any], *, more: bool) -> dict[str, Any]:
    """A page of the same shape with other contents."""
    shown = {**page, "data": kept, "has_more": more}
    for name, item in (("first_id", kept[0] if kept else None), ("last_id", kept[-1] if kept else None)):
        if name in page:
            shown[name] = item["id"] if item is not None else None
    return shown
