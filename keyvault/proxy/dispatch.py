"""One attempt on its way: its row with the most it can cost, its connection, and the relay of its answer."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from keyvault.clock import Clock
from keyvault.domain.endpoints import Dialect
from keyvault.domain.ledger import OpenAttempt
from keyvault.errors import GatewayError
from keyvault.metering.ledger import Ledger
from keyvault.proxy import answers, drilling
from keyvault.proxy.admission import Call
from keyvault.proxy.allowance import Allowances
from keyvault.proxy.attempt import Attempt, message
from keyvault.proxy.dialects.meter import stream_meter
from keyvault.proxy.ending import WITHDRAWN, Ending
from keyvault.proxy.failover import Course, Step
from keyvault.proxy.isolation.isolation import Isolation
from keyvault.proxy.reading import expects_stream
from keyvault.proxy.relay import Relay
from keyvault.proxy.tables import Tables
from keyvault.proxy.upstream import Pool, UpstreamConnection, UpstreamFailure

_METERS: Final = {
    (dialect, drop_usage): partial(stream_meter, dialect, drop_usage=drop_usage)
    for dialect in Dialect
    for drop_usage in (False, True)
}
"""What makes the meter of a stream, if the answer is one."""


class Dispatch:
    """Prepares attempts and sends them."""

    def __init__(
        self,
        tables: Tables,
        ledger: Ledger,
        pool: Pool,
        clock: Clock,
        isolation: Isolation,
        allowances: Allowances,
        max_collected: int,
    ) -> None:
        self._tables = tables
        self._ledger = ledger
        self._pool = pool
        self._clock = clock
        self._isolation = isolation
        self._allowances = allowances
        self._max_collected = max_collected
        self._time = asyncio.get_running_loop().time
        self.relays: set[Relay] = set()
        """The answers under way."""

    def prepare(self, call: Call, step: Step, before: Attempt | None = None) -> Attempt:
        """The attempt of a step. `before`: the one that it follows."""
        upstream, target = step.planned.upstream, step.planned.target
        now_ms = self._clock.now_ms()
        price, bound_pico = self._allowances.priced(call, step.planned, now_ms)
        caller, payer, allowance = call.caller, call.payer, call.allowance
        drills = self._tables.drills
        fault = None if drills is None else drills.of(caller.key_id, target, now_ms)
        number = 1 if before is None else before.row.number + 1
        alias_id, target_id = self._ledger.alias_id(call.model or ""), self._ledger.target_id(target)
        project_id = 0 if payer.project_id == caller.project_id else payer.project_id
        drawn = call.drawn if before is None and fault is None else ()  # a drill says nothing of a rollout
        row = OpenAttempt(  # by position: so many names would be passed as a dictionary
            call.request_id, number, now_ms, caller.key_id, caller.generation, alias_id, target_id, str(call.dialect),
            call.body.stream, bound_pico, payer.multiplier_ppm, project_id,
            allowance.balance_id, allowance.pico, call.tags, allowance.hard, drawn,
        )  # fmt: skip
        serving = step.serving
        if serving is None:
            chooser = self._tables.upstreams[upstream.name]
            kept = None if call.credential_id is None else chooser.by_id(call.credential_id)
            serving = kept or chooser.choose()  # whose turn it is, unless the request depends on what one account keeps
        if self._tables.health.known:
            self._tables.health.begin(target)
        follows = None if before is None else before.row
        return Attempt(step.planned, serving, price, row, self._time(), step.fresh, step.second, follows, fault)

    async def send(self, call: Call, attempt: Attempt, course: Course) -> Ending:
        """Put an attempt on record, then send the request to its target and follow the answer until it is complete,
        broken or given up. Raises what keeps it from being recorded; the attempt before it was the last then."""
        try:
            outgoing = message(call, attempt)  # may refuse a header: before there is a row
            await self._ledger.open(attempt.row)
        except GatewayError:
            self._tables.health.abandoned(attempt.planned.target)
            if attempt.follows is not None:
                self._ledger.conclude(attempt.follows)
            raise
        relay: Relay | None = None
        within, left = course.patience.connect, course.deadline - self._time()
        if left < within:
            within = left
        try:
            origin, fault = attempt.upstream.origin, attempt.fault
            if fault is None:
                kept = None if attempt.fresh else self._pool.kept(origin)
                connection = kept or await self._pool.acquire(origin, fresh=True, within=within)
            else:
                patient = min(course.patience.first_content, course.deadline - self._time())
                connection = await drilling.connect(fault, self._pool, origin, within=within, patient=patient)
            if call.withdrawn is not None:
                connection.close()
                return Ending(failure=WITHDRAWN, sent=False, cut=True)
            relay = call.relay = self._relay(call, attempt, course, connection)
            if fault is None:
                connection.send(*outgoing, relay)
            else:
                drilling.send(fault, connection, outgoing, relay)
            ending = await relay.ending  # event by event, without waking this coroutine
            self._pool.let_end(connection, relay)
            return ending
        except UpstreamFailure as failure:
            return Ending(failure=(failure.code, failure.text), sent=False)
        finally:
            if relay is not None:
                self.relays.discard(relay)

    def _relay(self, call: Call, attempt: Attempt, course: Course, connection: UpstreamConnection) -> Relay:
        planned, health = attempt.planned, self._tables.health
        added = call.body.stream and call.wants_usage_added(planned.upstream)
        new_meter = _METERS[call.dialect, added]
        relay = Relay(
            call.exchange,
            connection,
            new_meter if call.claim is None else self._isolation.watched(call, planned, attempt.upstream, new_meter),
            course.patience,
            added=partial(answers.added_headers, call, planned.target, attempt.row.number),
            began=attempt.began,
            deadline=course.deadline,
            secrets=attempt.upstream.secrets,
            max_collected=self._max_collected,
            expects_stream=expects_stream(call),
            whole=call.claim is not None and call.claim.whole,
            ceiling=self._allowances.ceiling(call, planned) if call.body.stream else None,
            on_content=partial(health.answering, planned.target, attempt.began) if health.known else None,
        )
        self.relays.add(relay)
        return relay
