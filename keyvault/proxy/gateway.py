"""The life of a request, top to bottom.

A request is one coroutine. The numbers are the story's steps: head, who, what, where, may it, on record, out, through,
settled, gone wrong. Each sentence's detail is one module away: `admission`, `tables`, `attempt`, `relay`, `settlement`,
`answers`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial

from keyvault.clock import Clock
from keyvault.domain.ledger import OpenAttempt
from keyvault.errors import Refusal, Unavailable
from keyvault.metering.ledger import Ledger
from keyvault.proxy import admission, answers, attribution, models
from keyvault.proxy.admission import Call
from keyvault.proxy.allowance import Allowances
from keyvault.proxy.attempt import Attempt, message
from keyvault.proxy.dialects.meter import stream_meter
from keyvault.proxy.door import Door
from keyvault.proxy.forwarded import client_address
from keyvault.proxy.http1 import Exchange
from keyvault.proxy.isolation.isolation import Isolation
from keyvault.proxy.metrics import Metrics
from keyvault.proxy.relay import WITHDRAWN, Ending, Relay
from keyvault.proxy.settlement import settlement
from keyvault.proxy.tables import ServingUpstream, Tables
from keyvault.proxy.underway import Underway
from keyvault.proxy.upstream import Pool, UpstreamConnection, UpstreamFailure
from keyvault.routing.planner import Planned
from keyvault.settings import Settings


class Gateway:
    """Handles the exchanges of all client connections of one worker."""

    def __init__(
        self,
        tables: Tables,
        ledger: Ledger,
        pool: Pool,
        settings: Settings,
        clock: Clock,
        metrics: Metrics,
        isolation: Isolation,
    ) -> None:
        self._tables = tables
        self._ledger = ledger
        self._pool = pool
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._isolation = isolation
        self._allowances = Allowances(tables, clock)
        self._time = asyncio.get_running_loop().time
        self._door = Door()
        self._address_of = client_address(settings.trusted_proxies)
        self.underway = Underway()
        self.relays: set[Relay] = set()
        """The answers under way; the server's sweep calls `check` on each."""

    def open_streams(self) -> int:
        return sum(relay.streaming for relay in self.relays)

    def admit(self, exchange: Exchange) -> None:
        """1. Head and 2. Who: at the head of a request, before its body is read. Raises `Refusal`."""
        call = exchange.caller = Call(exchange, self._clock.ulid())
        call.address = self._address_of(exchange.request)
        self._identify(call)

    def _identify(self, call: Call) -> None:
        """Whose call it is and whether they may call here, as of now. Raises `Refusal`."""
        tables = self._tables
        try:
            tables.refresh()
        except Unavailable as error:
            raise answers.unavailable(error) from None
        call.as_of = tables.directory.reading
        try:
            call.caller = admission.who(call.exchange.request, tables.directory, tables.time.now_ms())
        except Refusal as refusal:
            refusal.hold_seconds = self._door.turned_away(call.address, self._time())
            raise
        if tables.suspended:
            raise admission.everybody_suspended()
        admission.check_address(call)
        admission.check_path(call)

    async def serve(self, exchange: Exchange) -> None:
        """3 to 10, with the whole body there. Cancelled when the client leaves."""
        call: Call = exchange.caller
        self._metrics.in_flight += 1
        self.underway.add(call)
        try:
            await self._serve(call)
        except Refusal as refusal:
            self.refuse(exchange, refusal)
        except Unavailable as error:
            self.refuse(exchange, answers.unavailable(error))
        finally:
            call.permit.close()
            self.underway.discard(call)
            self._metrics.in_flight -= 1

    def refuse(self, exchange: Exchange, refusal: Refusal) -> None:
        """Answer in the shape the client's SDK understands, instead of a provider."""
        call: Call | None = exchange.caller
        self._metrics.refused(refusal)
        answers.refuse(exchange, refusal, call.request_id if call else self._clock.ulid())

    async def _serve(self, call: Call) -> None:
        if call.as_of != self._tables.directory.reading:  # the body took its time, and some key has changed
            self._identify(call)
        admission.what(call)  # 3. What
        admission.may(call)  # 5. May it; asked before where, so that a refusal does not tell what exists
        attribution.attribute(call, self._tables.payers)
        call.permit = self._tables.limiter.admit(call)
        if models.answer(call, self._tables.planner):
            return
        if call.isolated and await self._isolation.answers_itself(call):
            return
        plan = self._plan(call)  # 4. Where
        call.allowance = self._allowances.allow(call, plan)  # 5. May it: what it may cost is held
        try:
            await self._attempt(call, self._failover.course(call, plan))
        finally:
            call.allowance.close()

    async def _attempt(self, call: Call, course: Course) -> None:
        """One try after the other, until there is an answer."""
        attempt = self._prepare(call, self._failover.first(course), 1)
        while True:
            ending = await self._dispatch(call, attempt)  # 6. On record, 7. Out, 8. Through
            booked = self._book(call, attempt, ending)
            following = await self._following(call, course, attempt, ending, booked)
            settled = self._settle(call, attempt, booked, final=following is None)
            if following is None:
                break
            settled.add_done_callback(_seen)  # durable with the next attempt's row, at the latest
            attempt = following
        await settled  # 9. Settled, before the answer ends
        last, ending = course.best(attempt, ending)
        if call.claim is not None:
            ending = await self._isolation.answered(call, last.planned, last.upstream, ending)
        answers.deliver(call, last.planned.target, attempt.row.number, ending, last.upstream.secrets)

    def _plan(self, call: Call) -> tuple[Planned, ...]:
        if call.claim is not None:
            return self._isolation.plan(call)
        return self._tables.planner.plan(call.model, call.dialect, call.pin)

    def _prepare(self, call: Call, step: Step, number: int) -> Attempt:
        """The attempt of a step, which its target is told of at once."""
        attempt = self._attempts.prepare(call, step, number)
        self._tables.health.begin(step.planned.target)
        return attempt

    async def _dispatch(self, call: Call, attempt: Attempt) -> Ending:
        """Send the request to one target and follow its answer until it is complete, broken or given up."""
        outgoing = await self._record(call, attempt)  # 6. On record, before it leaves
        relay: Relay | None = None
        try:
            connection = await self._connect(call, attempt)  # 7. Out
            if call.withdrawn is not None:
                connection.close()
                return Ending(failure=WITHDRAWN, sent=False, cut=True)
            relay = call.relay = self._relay(call, attempt, connection)
            connection.send(*outgoing, relay)
            ending = await relay.ending  # 8. Through: event by event, without waking this coroutine
            read(call, ending, attempt.upstream.secrets)
            return ending
        except UpstreamFailure as failure:
            return Ending(failure=(failure.code, failure.text), sent=False)
        except asyncio.CancelledError:  # 10. Gone wrong: the client left, so the provider's call ends now
            ending = relay.stop() if relay else Ending(sent=False, cancelled=True)
            self._settle_left(call, attempt, ending)
            raise
        finally:
            if relay is not None:
                self.relays.discard(relay)

    def _relay(self, call: Call, attempt: Attempt, connection: UpstreamConnection) -> Relay:
        target = attempt.planned.target
        new_meter = partial(stream_meter, call.dialect, drop_usage=call.wants_usage_added(attempt.planned.upstream))
        relay = Relay(
            call.exchange,
            connection,
            new_meter
            if call.claim is None
            else self._isolation.watched(call, attempt.planned, attempt.upstream, new_meter),
            self._settings,
            added=answers.added_headers(call, target, attempt.row.number),
            began=attempt.began,
            deadline=call.started + self._settings.total_timeout,
            secrets=attempt.upstream.secrets,
            whole=call.claim is not None and call.claim.whole,
        )
        self.relays.add(relay)
        return relay

    def _next(self, call: Call, attempt: Attempt, ending: Ending, pending: deque[Planned]) -> Attempt | None:
        """The attempt that follows; None when this ending is the client's answer."""
        in_time = self._time() - call.started < self._settings.total_timeout
        if ending.committed or not in_time or call.withdrawn is not None:
            return None
        number = attempt.row.number + 1
        if ending.stale_connection and not attempt.fresh:
            return self._prepare(call, attempt.planned, number, serving=attempt.upstream, fresh=True)
        if ending.refuses_credential and (other := self._other_credential(call, attempt)) is not None:
            return self._prepare(call, attempt.planned, number, serving=other, second=True)
        while pending and ending.may_fail_over:
            planned = pending.popleft()
            if planned.upstream.name in self._tables.upstreams:  # not deleted in the meantime
                return self._prepare(call, planned, number)
        return None

    def _other_credential(self, call: Call, attempt: Attempt) -> ServingUpstream | None:
        """Another credential of the same upstream for a request whose first was refused; the first is looked into."""
        refused = attempt.upstream
        self._tables.refused[refused.credential_id] = refused
        chooser = self._tables.upstreams.get(attempt.planned.upstream.name)
        if chooser is None or attempt.second or call.credential_id is not None:
            return None
        return chooser.instead_of(refused.credential_id)

    def _settle(
        self, call: Call, attempt: Attempt, ending: Ending, *, final: bool, left: bool = False
    ) -> asyncio.Future[None]:
        booked = settlement(
            call,
            attempt.row,
            ending,
            attempt.price,
            model=attempt.planned.target.model,
            began=attempt.began,
            now=self._time(),
            final=final,
            left=left,
            secrets=attempt.upstream.secrets,
        )
        call.cost_pico = booked.cost_pico
        call.allowance.settled(booked)
        call.permit.settled(booked)
        self._metrics.settled(attempt.planned.target, booked)
        self._tables.directory.used(call.caller, attempt.row.started_ms, call.client, call.address)
        return self._ledger.settle(booked)


def _seen(settled: asyncio.Future[None]) -> None:
    """Not everybody waits for a settlement; one that fails is the ledger's to write later, and to log."""
    if not settled.cancelled():
        settled.exception()
