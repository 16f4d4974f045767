"""Settled attempts in bulk: pages without gap or repetition, and sums by how attempts are known."""

from __future__ import annotations

import asyncio
from typing import Any

from keyvault.clock import to_ms
from keyvault.domain.ledger import NO_USAGE, Basis, Usage
from keyvault.metering.ledger import Ledger
from keyvault.metering.reports import Reports
from keyvault.storage.attempts import Kind, attempts_after, kinds_of, prices_of
from keyvault.storage.engine import Database
from tests.conftest import FrozenClock
from tests.finance import at
from tests.ledgers import attempt, book

LARGE = 10**16


async def test_pages_hold_every_attempt_once_in_order_and_kinds_add_them_up(
    database: Database, clock: FrozenClock
) -> None:
    ledger = Ledger(database, clock, "w1")
    ledger.start(asyncio.get_running_loop())
    usage = Usage(input=10, output=2)
    unknown: dict[str, Any] = {"cost_pico": None, "charge_pico": None, "basis": Basis.UNKNOWN, "usage": NO_USAGE}
    for count, fields in enumerate(({"cost_pico": LARGE}, {"cost_pico": LARGE}, unknown, {"basis": Basis.ESTIMATE})):
        await book(ledger, attempt(to_ms(at(1 + count)), count, bound_pico=5), **{"usage": usage, **fields})
    again = attempt(to_ms(at(4, 13)), 2, entropy=9, bound_pico=None)
    await book(ledger, again, usage=usage, price_id=7)
    await asyncio.to_thread(ledger.stop)

    with database.read() as tx:
        every = attempts_after(tx, "", 0, 100)
        place, paged = ("", 0), []
        while page := attempts_after(tx, *place, 2):
            paged += page
            place = (page[-1].request_id, page[-1].number)
        assert paged == every
        assert len(every) == 5

        found = kinds_of(tx, {3}, ("0", "Z"), (to_ms(at(1)), to_ms(at(5))))
        assert sorted(found) == [
            Kind(3, Basis.UNKNOWN, True, 1, 0, 0, 0, 5, 0),
            Kind(3, Basis.PROVIDER, False, 3, 30, 6, 2 * LARGE + 7_000, 10, 1),
            Kind(3, Basis.ESTIMATE, False, 1, 10, 2, 7_000, 5, 0),
        ]
        assert prices_of(tx, {3}, ("0", "Z"), (to_ms(at(1)), to_ms(at(5)))) == [(3, 7)]
        assert kinds_of(tx, {4}, ("0", "Z"), (to_ms(at(1)), to_ms(at(5)))) == []
        assert [kind.attempts for kind in kinds_of(tx, {3}, ("0", "Z"), (to_ms(at(3)), to_ms(at(4))))] == [1]

    pages = Reports(database, clock).attempts(at(2), at(4))
    assert [row[0] for page in pages for row in page] == [f"{row.request_id}-{row.number}" for row in every[1:3]]
