"""Whatever is topped up, adjusted, released, charged, doubted and lost, in any order and through any number of crashes:
what is available is the sum of the entries less what was taken, to the database, to a worker, and to a simple model."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from keyvault.domain.ledger import OpenAttempt, Outcome
from keyvault.domain.scopes import parse_scope
from keyvault.errors import Conflict
from keyvault.keys.customers import Customers
from keyvault.metering.accounts import Accounts
from keyvault.metering.balances import Balances
from keyvault.metering.ledger import Ledger
from keyvault.metering.remembered import Remembered
from keyvault.metering.spending import Spending
from keyvault.storage.engine import Database
from tests.accounts import renew
from tests.conftest import FrozenClock
from tests.ledgers import attempt, settlement

KEY = b"k" * 32
ACME = parse_scope("customer:acme")
EMPTIED = ("balance_entries", "balance_spending", "balances", "attempts", "open_attempts", "customers")
PICO = st.integers(1, 10**12)
ENDS = st.sampled_from([Outcome.SERVED, Outcome.FAILED, Outcome.ABORTED])


class BalanceMachine(RuleBasedStateMachine):
    """The model: three sums."""

    attempts = Bundle("attempts")

    def __init__(self, database: Database, root: Path) -> None:
        super().__init__()
        self.database = database
        self.clock = FrozenClock()
        self.loop = asyncio.new_event_loop()
        self.funded = self.charged = self.doubt = self.released = 0
        self.payments: dict[int, int] = {}
        self.open: dict[str, OpenAttempt] = {}
        self.lives = 0
        self.service = Balances(database, self.clock, lambda: Spending(KEY), Remembered(root / "spending.json"))

    @initialize()
    def begin(self) -> None:
        with self.database.write() as tx:
            for table in EMPTIED:
                tx.execute(sa.text(f"DELETE FROM {table}"))
        Customers(self.database, self.clock).create("acme")
        self.top_up(10**12, None)
        self.live()

    def live(self) -> None:
        self.lives += 1
        self.ledger = Ledger(self.database, self.clock, f"w{self.lives}", spending=Spending(KEY))
        assert self.ledger.recover() == len(self.open)
        self.ledger.start(self.loop)

    def wait(self, future: asyncio.Future[None]) -> None:
        self.loop.run_until_complete(asyncio.wait_for(future, 10))

    @rule(pico=PICO, payment=st.one_of(st.none(), st.integers(1, 3)))
    def top_up(self, pico: int, payment: int | None) -> None:
        try:
            booked = self.service.top_up(ACME, pico, "paid", payment=None if payment is None else f"ch_{payment}")
        except Conflict:
            assert payment is not None
            assert self.payments[payment] != pico
            return
        assert booked.fresh is (payment is None or payment not in self.payments)
        if booked.fresh:
            self.funded += pico
            if payment is not None:
                self.payments[payment] = pico

    @rule(pico=PICO, sign=st.sampled_from([-1, 1]))
    def adjust(self, pico: int, sign: int) -> None:
        self.service.adjust(ACME, sign * pico, "corrected")
        self.funded += sign * pico

    @rule(pico=st.one_of(st.none(), PICO))
    def release(self, pico: int | None) -> None:
        left = self.doubt - self.released
        try:
            booked = self.service.release(ACME, "looked", pico)
        except Conflict:
            assert left == 0 or (pico or 0) > left
            return
        assert booked.entry.amount_pico == (left if pico is None else pico)
        self.released += booked.entry.amount_pico
        self.funded += booked.entry.amount_pico

    @rule(target=attempts, bound=PICO)
    def leave(self, bound: int) -> Any:
        """A request goes out."""
        [balance] = [standing.balance for standing in self.service.list()]
        new = attempt(self.clock.now_ms(), entropy=len(self.open) + self.clock.drawn, balance_id=balance.id)
        self.clock.advance(seconds=1)
        new.bound_pico = new.hold_pico = bound
        self.wait(self.ledger.open(new))
        self.open[new.request_id] = new
        return multiple(new)

    @rule(one=consumes(attempts), outcome=ENDS, charged=PICO, doubt=st.one_of(st.none(), PICO))
    def settle(self, one: OpenAttempt, outcome: Outcome, charged: int, doubt: int | None) -> None:
        told = settlement(one, outcome=outcome, cost_pico=charged, charge_pico=charged, doubt_pico=doubt)
        self.wait(self.ledger.settle(told))
        self.wait(self.ledger.settle(told))  # the second changes nothing
        if self.open.pop(one.request_id, None) is not None:
            self.charged += charged
            self.doubt += doubt or 0

    @rule()
    def crash(self) -> None:
        """What was under way is closed as lost: in doubt, at the most it can have cost."""
        self.ledger.stop()
        self.doubt += sum(one.bound_charge_pico or 0 for one in self.open.values())
        self.live()
        self.open.clear()

    @invariant()
    def everybody_says_the_same(self) -> None:
        if not self.lives:
            return
        [standing] = self.service.list()
        balance = standing.balance
        entries = self.service.history(ACME, limit=10_000)
        assert sum(entry.amount_pico for entry in entries) == balance.funded_pico == self.funded
        assert (balance.charged_pico, balance.doubt_pico) == (self.charged, self.doubt)
        assert standing.available_pico == self.funded - self.charged - self.doubt
        accounts = Accounts()
        renew(accounts, self.database, self.clock.now_ms())
        assert [account.available_pico for account in accounts.every] == [standing.available_pico]
        [verdict] = self.service.verify()
        assert (verdict.tampered, verdict.differs) == (None, None)

    def teardown(self) -> None:
        if self.lives:
            self.ledger.stop()
        self.loop.close()


def test_any_interleaving_keeps_what_is_available(database: Database, tmp_path: Path) -> None:
    rounds = settings(
        max_examples=5, stateful_step_count=15, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
    )
    machine: Any = lambda: BalanceMachine(database, tmp_path)  # noqa: E731 - a class would take no arguments
    run_state_machine_as_test(machine, settings=rounds)
