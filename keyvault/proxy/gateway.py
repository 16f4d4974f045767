"""The life of a request, top to bottom.

A request is one coroutine. The numbers are the story's steps: head, who, what, where, may it, on record, out, through,
settled, gone wrong. Each sentence's detail is one module away: `admission`, `tables`, `dispatch`, `relay`, `failover`,
`settlement`, `answers`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from keyvault.clock import Clock, Ulids
from keyvault.domain.ledger import Settlement
from keyvault.errors import Refusal, Unavailable
from keyvault.metering.ledger import Ledger
from keyvault.proxy import admission, answers, attribution, models
from keyvault.proxy.admission import Call
from keyvault.proxy.affinity import CARRIES_STATE, Affinity
from keyvault.proxy.allowance import Allowances
from keyvault.proxy.attempt import Attempt
from keyvault.proxy.dispatch import Dispatch
from keyvault.proxy.door import Door
from keyvault.proxy.drawing import draw
from keyvault.proxy.ending import Ending
from keyvault.proxy.failover import Course, Failover
from keyvault.proxy.forwarded import client_address
from keyvault.proxy.http1 import Exchange
from keyvault.proxy.isolation.isolation import Isolation
from keyvault.proxy.metrics import Metrics
from keyvault.proxy.own_usage import OwnUsage
from keyvault.proxy.reading import read
from keyvault.proxy.settlement import SERVED, settlement
from keyvault.proxy.tables import Tables
from keyvault.proxy.underway import Underway
from keyvault.proxy.upstream import Pool
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
        affinity: Affinity,
        own_usage: OwnUsage,
    ) -> None:
        self._tables = tables
        self._ledger = ledger
        self._ids = Ulids(clock)
        self._metrics = metrics
        self._isolation = isolation
        self._affinity = affinity
        self._own_usage = own_usage
        self._allowances = allowances = Allowances(tables, clock)
        self._time = asyncio.get_running_loop().time
        self._failover = Failover(tables, settings, self._time, clock.now_ms)
        self._dispatch = Dispatch(tables, ledger, pool, clock, isolation, allowances, settings.max_collected)
        self._door = Door()
        self._address_of = client_address(settings.trusted_proxies) if settings.trusted_proxies else None
        self.underway = Underway()
        self.relays = self._dispatch.relays
        """The answers under way; the server's sweep calls `check` on each."""

    def open_streams(self) -> int:
        return sum(relay.streaming for relay in self.relays)

    def admit(self, exchange: Exchange) -> None:
        """1. Head and 2. Who: at the head of a request, before its body is read. Raises `Refusal`."""
        call = exchange.caller = Call(exchange, self._ids.next())
        if self._address_of is not None:
            call.address = self._address_of(exchange.request)
        self._identify(call, self._tables.refresh)

    def _identify(self, call: Call, look: Callable[[], None]) -> None:
        """Whose call it is and whether they may call here, as of now. Raises `Refusal`."""
        tables = self._tables
        try:
            look()
        except Unavailable as error:
            raise answers.unavailable(error) from None
        call.as_of = tables.directory.reading
        try:
            call.caller = admission.who(call, tables.directory, tables.time.now_ms)
        except Refusal as refusal:
            refusal.hold_seconds = self._door.turned_away(call.address, self._time())
            raise
        if tables.suspended:
            raise admission.everybody_suspended()
        if call.asked.let_in != call.as_of:  # as of another reading than the last request with this head
            admission.let_in(call)

    async def serve(self, exchange: Exchange) -> None:
        """3 to 10, with the whole body there. Cancelled when the client leaves."""
        call: Call = exchange.caller
        self._metrics.in_flight += 1
        self.underway.add(call)
        try:
            await self._serve(call)
        except Refusal as refusal:
            self.refuse(call.exchange, refusal)
        except Unavailable as error:
            self.refuse(call.exchange, answers.unavailable(error))
        finally:
            if call.sample is not None:
                call.sample.close(call)
            call.permit.close()
            call.relay = None  # it holds the call in its turn
            self.underway.discard(call)
            self._metrics.in_flight -= 1

    def refuse(self, exchange: Exchange, refusal: Refusal) -> None:
        """Answer in the shape the client's SDK understands, instead of a provider."""
        call: Call | None = exchange.caller
        self._metrics.refused(refusal)
        answers.refuse(exchange, refusal, call.request_id if call else self._ids.next())

    async def _serve(self, call: Call) -> None:
        if self._tables.rules.renewing is not None:  # what was changed before counts for this request
            await self._tables.rules.renewed()
        if call.as_of != self._tables.directory.reading:  # the body took its time, and some key has changed
            self._identify(call, self._tables.look)
        if not call.path:  # what the key has used, and nothing else, was let in without one
            await self._own_usage.answer(call)
            return
        admission.what(call)  # 3. What
        admission.may(call)  # 5. May it; asked before where, so that a refusal does not tell what exists
        attribution.attribute(call, self._tables.payers)
        call.permit = self._tables.limiter.admit(call)
        if call.asks_for_models and models.answer(call, self._tables.planner):
            return
        if call.isolated and await self._isolation.answers_itself(call):
            return
        if self._tables.captures.active:
            self._tables.captures.sample(call)
        if call.claim is None:  # 4. Where
            plan = self._tables.planner.plan(call.model, call.dialect, call.pin)
        else:
            plan = self._isolation.plan(call)
        bound = plan
        if call.dialect in CARRIES_STATE:
            bound = await self._affinity.place(call, plan)
        if self._tables.planner.rollouts and bound is plan:
            bound = draw(call, self._tables.planner, plan)
        plan = bound
        call.allowance = self._allowances.allow(call, plan)  # 5. May it: what it may cost is held
        try:
            await self._attempt(call, self._failover.course(call, plan))
        finally:
            call.allowance.close()

    async def _attempt(self, call: Call, course: Course) -> None:
        """One try after the other, until there is an answer."""
        attempt = self._dispatch.prepare(call, self._failover.first(course))
        while True:
            ending = await self._answer(call, attempt, course)  # 6. On record, 7. Out, 8. Through
            booked = self._book(call, attempt, ending)
            served = booked.outcome is SERVED
            following = None if served else await self._following(call, attempt, course, ending, booked)
            if following is None and call.dialect in CARRIES_STATE:
                self._affinity.note(call, attempt.planned, ending)
            settled = self._settle(call, attempt, booked, final=following is None)
            if following is None:
                break
            settled.add_done_callback(_seen)  # durable with the next attempt's row, at the latest
            attempt = following
        await settled  # 9. Settled, before the answer ends
        of = attempt
        if course.answer is not None:
            of, ending = course.best(attempt, ending)
        if call.claim is not None:
            ending = await self._isolation.answered(call, of.planned, of.upstream, ending)
        answers.deliver(call, of.planned.target, attempt.row.number, ending, of.upstream.secrets)

    async def _answer(self, call: Call, attempt: Attempt, course: Course) -> Ending:
        """How one attempt ended."""
        call.relay = None
        try:
            ending = await self._dispatch.send(call, attempt, course)
        except asyncio.CancelledError:  # 10. Gone wrong: the client left, so the provider's call ends now
            ending = call.relay.stop() if call.relay else Ending(sent=False, cancelled=True)
            booked = self._book(call, attempt, ending, left=True)
            self._settle(call, attempt, booked, final=True).add_done_callback(_seen)
            raise
        read(call, ending, attempt.upstream.secrets)
        return ending

    async def _following(
        self, call: Call, attempt: Attempt, course: Course, ending: Ending, booked: Settlement
    ) -> Attempt | None:
        """The attempt that is made next, after a pause where one is due; None when there is an answer."""
        step = self._failover.next(call, course, attempt, ending)
        if step is not None and step.wait:
            try:
                await asyncio.sleep(step.wait)
            except asyncio.CancelledError:
                self._settle(call, attempt, booked, final=True).add_done_callback(_seen)
                raise
            step = self._failover.after_pause(course, step)
        while step is not None and call.withdrawn is None:
            if self._allowances.cover(call, step.planned):
                return self._dispatch.prepare(call, step, attempt)
            step = self._failover.instead(course, step)  # a later target may cost less
        return None

    def _book(self, call: Call, attempt: Attempt, ending: Ending, *, left: bool = False) -> Settlement:
        """What an attempt came to, taken from what was held."""
        self._failover.learn(attempt, ending)
        booked = settlement(call, attempt, ending, self._time(), left=left)
        call.cost_pico = booked.cost_pico
        self._allowances.settled(call, attempt.planned, attempt.row, booked)
        call.permit.settled(booked)
        return booked

    def _settle(self, call: Call, attempt: Attempt, booked: Settlement, *, final: bool) -> asyncio.Future[None]:
        """Write it down; durable when the future is done."""
        booked.final = final
        if call.sample is not None:
            call.sample.settled(attempt, booked)
        self._metrics.settled(attempt.planned.target, booked)
        self._tables.directory.used(call.caller, attempt.row.started_ms, call.asked.client, call.address)
        return self._ledger.settle(booked)


def _seen(settled: asyncio.Future[None]) -> None:
    """Not everybody waits for a settlement; one that fails is the ledger's to write later, and to log."""
    if not settled.cancelled():
        settled.exception()
