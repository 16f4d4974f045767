"""Any interleaving of opening, settling, settling again, failing, crashing and recovering keeps rows, totals and a
simple model of them equal. Runs against the writer's own batches, with and without a database that answers."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from keyvault.domain.ledger import Basis, OpenAttempt, Outcome
from keyvault.errors import Unavailable
from keyvault.metering.ledger import Ledger
from keyvault.storage import migrations
from keyvault.storage.engine import Database
from tests.conftest import FrozenClock
from tests.ledgers import assert_totals_say_what_the_rows_say, attempt, open_rows, rows, settlement

OUTCOMES = st.sampled_from([Outcome.SERVED, Outcome.FAILED, Outcome.ABORTED])
TABLES = ("attempts", "open_attempts", "ledger_changes")
COSTS = st.one_of(st.none(), st.integers(0, 10**12))


class LedgerMachine(RuleBasedStateMachine):
    """The model: what each attempt's row must say, and which attempts are on their way."""

    attempts = Bundle("attempts")

    def __init__(self, template: Path, path: Path) -> None:
        super().__init__()
        shutil.copy(template, path)
        self.clock = FrozenClock()
        self.database = Database(f"sqlite:///{path}")
        self.loop = asyncio.new_event_loop()
        self.count = 0
        self.lives = 0
        self.down = False
        self.open: dict[tuple[str, int], OpenAttempt] = {}
        self.settled: dict[tuple[str, int], tuple[Outcome, bool, int | None]] = {}
        self.owed: dict[tuple[str, int], tuple[Outcome, bool, int | None]] = {}
        self.start()

    def start(self) -> None:
        self.lives += 1
        self.ledger = Ledger(self.database, self.clock, f"w{self.lives}")
        self.recovered = self.ledger.recover()
        self.ledger.start(self.loop)

    def wait(self, *futures: asyncio.Future[None]) -> bool:
        """Whether all of them are durable."""

        async def all_of_them() -> list[Any]:
            return await asyncio.gather(*futures, return_exceptions=True)

        outcomes = self.loop.run_until_complete(all_of_them())
        assert all(outcome is None or isinstance(outcome, Unavailable) for outcome in outcomes)
        assert len({type(outcome) for outcome in outcomes}) <= 1
        return all(outcome is None for outcome in outcomes)

    def now_durable(self, durable: bool) -> None:
        assert durable is not self.down
        if durable:
            self.settled |= self.owed
            self.owed = {}

    @rule(target=attempts, key=st.integers(1, 2), back=st.integers(0, 90 * 60_000), how_many=st.integers(1, 4))
    def begin(self, key: int, back: int, how_many: int) -> Any:
        """Some requests arrive at once."""
        new = []
        for _ in range(how_many):
            self.count += 1
            new.append(attempt(self.clock.now_ms() - back, entropy=self.count, key_id=key))
        durable = self.wait(*(self.ledger.open(one) for one in new))
        self.now_durable(durable)
        if not durable:
            return multiple()
        self.open |= {(one.request_id, one.number): one for one in new}
        return multiple(*new)

    @rule(one=attempts, outcome=OUTCOMES, cost=COSTS, again=st.booleans())
    def settle(self, one: OpenAttempt, outcome: Outcome, cost: int | None, again: bool) -> None:
        """Perhaps for the second time, perhaps twice at once."""
        self._settle(one, outcome, True, cost, 2 if again else 1)

    @rule(target=attempts, one=consumes(attempts), cost=COSTS)
    def fall_back(self, one: OpenAttempt, cost: int | None) -> Any:
        """An attempt fails and the request goes on to another target."""
        if (one.request_id, one.number) not in self.open:
            return multiple()
        self._settle(one, Outcome.FAILED, False, cost, 1)
        following = attempt(one.started_ms, one.number + 1, key_id=one.key_id, target_id=one.number + 3)
        following.request_id = one.request_id
        durable = self.wait(self.ledger.open(following))
        self.now_durable(durable)
        if not durable:
            return multiple()
        self.open[following.request_id, following.number] = following
        return following

    def _settle(self, one: OpenAttempt, outcome: Outcome, final: bool, cost: int | None, times: int) -> None:
        basis = Basis.UNKNOWN if cost is None else Basis.PROVIDER
        told = [settlement(one, outcome=outcome, final=final, cost_pico=cost, basis=basis) for _ in range(times)]
        durable = self.wait(*(self.ledger.settle(each) for each in told))
        key = (one.request_id, one.number)
        if self.open.pop(key, None):
            delivered = durable or not final  # an answer that could not be booked was cut, and is not to be paid for
            booked = Outcome.FAILED if outcome is Outcome.SERVED and not delivered else outcome
            self.owed[key] = (booked, final, cost)
        self.now_durable(durable)

    @rule()
    def crash(self) -> None:
        """The process dies with what it owes; the next one closes what it left. The database is back by then."""
        self.mend()
        if self.owed:
            self.now_durable(self.wait(self.ledger.settle(settlement(attempt(0)))))
        self.ledger.stop()
        expected = dict.fromkeys(self.open, (Outcome.LOST, True, None))
        self.start()
        assert self.recovered == len(expected)
        self.settled |= expected
        self.open = {}
        for request in {request for request, _ in self.settled}:
            last = max(number for other, number in self.settled if other == request)
            outcome, _, cost = self.settled[request, last]
            self.settled[request, last] = (outcome, True, cost)

    @rule()
    def break_down(self) -> None:
        if not self.down:
            for table in TABLES:
                self._rename(table, f"{table}_gone")
            self.down = True

    @rule()
    def mend(self) -> None:
        if self.down:
            for table in TABLES:
                self._rename(f"{table}_gone", table)
            self.down = False
            while not self.ledger.healthy:  # it tries again by itself, and writes first what it owes
                time.sleep(0.005)
            self.now_durable(True)

    def _rename(self, old: str, new: str) -> None:
        with self.database.write() as tx:
            tx.execute(sa.DDL(f"ALTER TABLE {old} RENAME TO {new}"))

    @invariant()
    def the_books_agree(self) -> None:
        if self.down or self.owed:
            return
        found = {(row.request_id, row.number): row for row in rows(self.database)}
        assert {k: (Outcome(r.outcome), bool(r.final), r.cost_pico) for k, r in found.items()} == self.settled
        assert self.open.keys() <= set(open_rows(self.database))
        assert_totals_say_what_the_rows_say(self.database)

    def teardown(self) -> None:
        self.ledger.stop()
        self.loop.close()
        self.database.close()


def test_any_interleaving_keeps_the_books(tmp_path: Path) -> None:
    template = tmp_path / "template.db"  # migrating takes longer than a whole run of the machine
    database = Database(f"sqlite:///{template}")
    migrations.upgrade(database)
    with database.read() as tx:
        tx.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    machines = itertools.count()
    rounds = settings(max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(
        lambda: LedgerMachine(template, tmp_path / f"{next(machines)}.db"),
        settings=rounds,
    )
