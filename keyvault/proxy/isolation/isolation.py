"""The parts of isolation put together, as the gateway uses them."""

from __future__ import annotations

from collections.abc import Callable

from keyvault.clock import Clock
from keyvault.metering.ledger import Ledger
from keyvault.proxy.admission import Call
from keyvault.proxy.dialects.meter import StreamMeter
from keyvault.proxy.ending import Ending
from keyvault.proxy.isolation.answers import Answers
from keyvault.proxy.isolation.claim import Claims
from keyvault.proxy.isolation.settling import Settling
from keyvault.proxy.tables import ServingUpstream, Tables
from keyvault.proxy.upstream import Pool
from keyvault.routing.planner import Planned
from keyvault.storage.engine import Database


class Isolation:
    """Asked before a request leaves and when it is answered; `settling` runs beside."""

    def __init__(
        self, database: Database, clock: Clock, tables: Tables, ledger: Ledger, pool: Pool, worker: str
    ) -> None:
        self._claims = Claims(database, tables)
        self.settling = Settling(database, clock, ledger, tables, pool, worker)
        self._answers = Answers(database, clock, pool, self.settling)

    async def answers_itself(self, call: Call) -> bool:
        """Decide what a request may touch; True where the answer needs no provider. Raises `Refusal`."""
        claim = await self._claims.claim(call)
        return claim is not None and self._claims.answer_empty(call, claim)

    def plan(self, call: Call) -> tuple[Planned, ...]:
        """The targets of a request with a claim. Raises `Refusal`."""
        assert call.claim is not None
        return self._claims.plan(call, call.claim)

    def watched(
        self, call: Call, planned: Planned, serving: ServingUpstream, new_meter: Callable[[], StreamMeter]
    ) -> Callable[[], StreamMeter]:
        """A meter that also notes what a stream makes."""
        return self._answers.watched(call, planned.upstream.name, serving, new_meter)

    async def answered(self, call: Call, planned: Planned, serving: ServingUpstream, ending: Ending) -> Ending:
        """Put on record what was made; the ending as the caller may have it. Raises `Unavailable`."""
        assert call.claim is not None
        return await self._answers.answered(call, call.claim, planned.upstream.name, serving, ending)
