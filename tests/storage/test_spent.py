"""What memory knows of budgets is what totals say, on both databases: a restart changes nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from keyvault.clock import to_ms
from keyvault.domain.budgets import Period
from keyvault.domain.keys import Key
from keyvault.domain.ledger import Outcome
from keyvault.domain.scopes import Payer, Scope, ScopeKind, parse_scope
from keyvault.keys.customers import Customers
from keyvault.keys.lifecycle import Keys
from keyvault.metering.account import Hold, Shortage
from keyvault.metering.accounts import Accounts
from keyvault.metering.budgets import Budgets, Terms
from keyvault.metering.ledger import Ledger
from keyvault.metering.spent import Spent, spent_in, spent_of_all
from keyvault.storage import budgets as rows
from keyvault.storage.engine import Database
from tests.accounts import renew
from tests.conftest import FrozenClock
from tests.ledgers import attempt, settlement
from tests.pepper import FixedPepper

USD = 10**12


class Worker:
    """One worker: memory and ledger, and three keys of two projects."""

    def __init__(self, database: Database, clock: FrozenClock) -> None:
        self.database, self.clock = database, clock
        self.budgets = Budgets(database, clock)
        customers, keys = Customers(database, clock), Keys(database, FixedPepper(), clock)
        customers.create("acme")
        self.projects = [customers.create_project(f"acme/{name}") for name in ("web", "app")]
        made = [("one", "acme/web", "live"), ("two", "acme/app", "live"), ("three", "acme/web", "test")]
        self.keys = [keys.create(name, project=project, env=env).key for name, project, env in made]
        self.ledger = Ledger(database, clock, "w1")
        self.accounts = Accounts()
        self.serial = 0

    def set(self, scope: str, usd: int, period: Period = Period.MONTH, **terms: object) -> int:
        return self.budgets.set(parse_scope(scope), Terms(usd * USD, period, **terms)).budget.id  # type: ignore[arg-type]

    def renew(self) -> None:
        renew(self.accounts, self.database, self.clock.ms)

    def payer(self, key: Key, project: int | None = None) -> Payer:
        found = next(p for p in self.projects if p.id == (project or key.project_id))
        return Payer(found.customer_id, "acme", found.id, found.name, 1_000_000)

    def begin(self, key: Key, model: str = "gpt-5", project: int | None = None) -> Callable[..., asyncio.Future[None]]:
        """A request is under way; call what is returned with what it took."""
        applying = self.accounts.applying(self.payer(key, project), key.id, key.env, model, self.clock.ms)
        hold = Hold(applying.accounts)
        self.serial += 1
        row = attempt(
            self.clock.ms,
            entropy=self.serial,
            key_id=key.id,
            alias_id=self.ledger.alias_id(model),
            project_id=project or 0,
        )
        self.ledger.open(row)

        def end(charge: int, doubt: int = 0) -> asyncio.Future[None]:
            outcome = Outcome.FAILED if doubt and not charge else Outcome.SERVED
            hold.spend(charge + doubt)
            hold.release()
            return self.ledger.settle(
                settlement(row, outcome=outcome, cost_pico=charge, charge_pico=charge, doubt_pico=doubt)
            )

        return end

    def known(self) -> dict[int, int]:
        """What memory says is spent, by budget."""
        return {account.of.id: account.spent_pico for account in self.accounts.every}

    def read(self) -> dict[int, int]:
        """What totals say."""
        with self.database.snapshot() as tx:
            return {number: spent.pico for number, spent in spent_of_all(tx, self.clock.ms).items()}


@pytest.fixture
async def worker(database: Database, clock: FrozenClock) -> Worker:
    return Worker(database, clock)


async def test_a_restart_knows_what_memory_knew_of_every_scope_model_and_period(worker: Worker) -> None:
    """Whatever is asked by whom for whom, at times in any period and zone."""
    for scope in ("customer:acme", "project:acme/web", "project:acme/app", "key:one", "key:two", "key:three"):
        env = None if scope.startswith("key") else "live"
        worker.set(scope, 1000, Period.DAY, zone="Australia/Lord_Howe", env=env)
        worker.set(scope, 1000, Period.HOUR, zone="Asia/Kathmandu", env=env)
    worker.set("customer:acme", 1000, model="gpt-5*")
    worker.set("customer:acme", 1000, Period.TOTAL, env="test")
    worker.renew()
    worker.ledger.start(asyncio.get_running_loop())
    drawn, last = random.Random(7), None
    for _ in range(60):
        worker.clock.advance(seconds=drawn.randrange(0, 3600))
        key = drawn.choice(worker.keys)
        project = drawn.choice([None, *(each.id for each in worker.projects)])
        end = worker.begin(key, drawn.choice(["gpt-5", "gpt-5-mini", "claude"]), project)
        last = end(drawn.choice([0, drawn.randrange(10**9)]), drawn.choice([0, drawn.randrange(10**9)]))
    assert last is not None
    await last
    memory = worker.known()
    for account in worker.accounts.every:  # one that nobody has drawn on since its period ended is opened now
        if account.until_ms is not None and account.until_ms <= worker.clock.ms:
            memory[account.of.id] = 0
    assert memory == worker.read()
    assert sum(memory.values()) > 0
    worker.ledger.stop()


async def test_a_period_ends_at_its_last_millisecond_and_what_is_under_way_stays_in_its_own(worker: Worker) -> None:
    worker.clock.ms = to_ms(datetime(2026, 10, 24, 21, 59, 59, 999_000, tzinfo=UTC))  # 23:59:59.999 in Berlin
    number = worker.set("key:one", 10, Period.DAY, zone="Europe/Berlin")
    worker.renew()
    worker.ledger.start(asyncio.get_running_loop())
    end = worker.begin(worker.keys[0])
    worker.clock.ms += 1
    await worker.begin(worker.keys[0])(5)
    assert worker.known() == {number: 5}
    await end(7)
    assert worker.known() == {number: 5} == worker.read()
    worker.clock.ms += 25 * 3_600_000 - 1  # summer time ends on that day
    await worker.begin(worker.keys[0])(11)
    assert worker.known() == {number: 16} == worker.read()
    worker.clock.ms += 1
    worker.begin(worker.keys[0])
    assert worker.known() == {number: 0} == worker.read()
    worker.ledger.stop()


async def test_a_clock_that_is_put_back_finds_the_period_that_it_was_in_as_it_was(worker: Worker) -> None:
    number, key = worker.set("key:one", 10, Period.DAY), worker.keys[0]
    worker.renew()
    worker.ledger.start(asyncio.get_running_loop())
    await worker.begin(key)(5)
    for days, spent, in_all in ((1, 7, 7), (-1, 5, 10), (1, 1, 8), (-1, 0, 10), (400, 2, 2), (-400, 9, 19)):
        worker.clock.advance(days=days)
        await worker.begin(key)(spent)
        assert worker.known() == {number: in_all} == worker.read()
    worker.ledger.stop()


async def test_in_an_hour_counts_nothing_of_a_later_one_that_the_clock_was_in(worker: Worker) -> None:
    number, key = worker.set("key:one", 10, Period.HOUR), worker.keys[0]
    worker.renew()
    worker.ledger.start(asyncio.get_running_loop())
    await worker.begin(key)(5)
    worker.clock.advance(seconds=3600)
    await worker.begin(key)(7)
    worker.clock.advance(seconds=-3600)
    assert worker.read() == {number: 5}
    worker.ledger.stop()


async def test_a_changed_budget_is_counted_in_the_period_that_a_clock_was_put_back_to(worker: Worker) -> None:
    number, key = worker.set("key:one", 10, Period.DAY), worker.keys[0]
    worker.renew()
    worker.ledger.start(asyncio.get_running_loop())
    await worker.begin(key)(5)
    worker.clock.advance(days=30)
    await worker.begin(key)(7)
    worker.clock.advance(days=-30)
    worker.set("key:one", 20, Period.DAY)
    worker.renew()
    assert worker.known() == {number: 5}
    worker.ledger.stop()


async def test_a_change_keeps_what_memory_knows_even_where_it_is_not_written_yet(worker: Worker) -> None:
    number = worker.set("key:one", 10)
    worker.renew()
    worker.ledger.start(asyncio.get_running_loop())
    settled = worker.begin(worker.keys[0])(5)
    under_way = Hold(
        worker.accounts.applying(worker.payer(worker.keys[0]), worker.keys[0].id, "live", "x", worker.clock.ms).accounts
    )
    under_way.grow_to(100)
    worker.set("key:one", 20, hard=False)
    worker.set("key:two", 1)
    worker.renew()
    account = next(each for each in worker.accounts.every if each.of.id == number)
    assert (account.spent_pico, account.held_pico, account.limit_pico, account.hard) == (5, 100, 20 * USD, False)
    under_way.release()
    assert account.held_pico == 0
    await settled
    worker.ledger.stop()


async def test_a_new_budget_counts_what_was_spent_before_and_soon_what_was_under_way(worker: Worker) -> None:
    worker.renew()
    worker.ledger.start(asyncio.get_running_loop())
    await worker.begin(worker.keys[0])(3)
    end = worker.begin(worker.keys[0])
    number = worker.set("key:one", 10)
    worker.renew()
    assert worker.known() == {number: 3}
    await end(4)
    await worker.begin(worker.keys[0])(5)
    with worker.database.snapshot() as tx:
        worker.accounts.catch_up(spent_of_all(tx, worker.clock.ms), worker.clock.ms)
    assert worker.known() == {number: 12} == worker.read()
    worker.ledger.stop()


async def test_catching_up_never_lessens_nor_mixes_periods(worker: Worker) -> None:
    number = worker.set("key:one", 10, Period.HOUR)
    worker.renew()
    before = worker.clock.ms
    account = worker.accounts.applying(worker.payer(worker.keys[0]), worker.keys[0].id, "live", "x", before).accounts[0]
    account.spent_pico = 50
    worker.accounts.catch_up({number: Spent(20), 999: Spent(1)}, before)
    worker.accounts.catch_up({number: Spent(80)}, before - 3_600_000)
    assert account.spent_pico == 50
    worker.accounts.catch_up({number: Spent(60, 20)}, before)
    assert (account.spent_pico, account.in_doubt_pico) == (80, 20)


@pytest.mark.parametrize(
    "changes",
    [
        ("Europe/Berlin",),
        ("Europe/Berlin", "Asia/Tokyo", "UTC"),
        ("delete UTC",),
        ("delete UTC", "Europe/Berlin", "delete Asia/Tokyo"),
        ("delete later UTC",),
    ],
)
async def test_what_requests_under_way_hold_goes_on_in_a_budget_that_begins_elsewhere_or_anew(
    worker: Worker, changes: tuple[str, ...]
) -> None:
    worker.clock.ms = to_ms(datetime(2026, 10, 24, 12, tzinfo=UTC))
    worker.set("key:one", 1000, Period.DAY)
    worker.renew()
    worker.ledger.start(asyncio.get_running_loop())
    await worker.begin(worker.keys[0])(100 * USD)
    unwritten = worker.begin(worker.keys[0])
    key = worker.keys[0]

    def holding(usd: int) -> Hold:
        hold = Hold(worker.accounts.applying(worker.payer(key), key.id, "live", "gpt-5", worker.clock.ms).accounts)
        hold.grow_to(usd * USD)
        return hold

    begun = [holding(300)]
    unwritten(200 * USD)
    for change in changes:
        if change.startswith("delete"):
            worker.budgets.delete(Scope(ScopeKind.KEY, "one"))
        if "later" in change:
            worker.renew()
        number = worker.set("key:one", 1000, Period.DAY, zone=change.split()[-1])
        worker.renew()
        begun.append(holding(10))
    account = next(each for each in worker.accounts.every if each.of.id == number)
    held = 300 + 10 * len(changes)
    with pytest.raises(Shortage):
        holding(1000 - 300 - held + 1)
    assert account.held_pico == held * USD
    for hold in begun:
        hold.spend(hold.pico)
        hold.release()
    assert (account.spent_pico, account.held_pico) == ((300 + held) * USD, 0)
    worker.ledger.stop()


async def test_what_is_held_in_a_period_that_is_over_does_not_go_on_in_the_next(worker: Worker) -> None:
    worker.set("key:one", 10, Period.HOUR)
    worker.renew()
    Hold(
        worker.accounts.applying(worker.payer(worker.keys[0]), worker.keys[0].id, "live", "x", worker.clock.ms).accounts
    ).grow_to(5)
    worker.clock.advance(seconds=3600)
    worker.set("key:one", 20, Period.HOUR)
    worker.renew()
    assert [(each.held_pico, each.available_pico) for each in worker.accounts.every] == [(0, 20 * USD)]


async def test_a_budget_that_was_deleted_applies_no_more(worker: Worker) -> None:
    worker.set("key:one", 10)
    worker.renew()
    worker.budgets.delete(Scope(ScopeKind.KEY, "one"))
    worker.renew()
    assert not worker.accounts
    found = worker.accounts.applying(worker.payer(worker.keys[0]), worker.keys[0].id, "live", "x", worker.clock.ms)
    assert not found.accounts


async def test_of_a_row_that_something_else_changed_only_what_was_known_is_believed(worker: Worker) -> None:
    number = worker.set("key:one", 10)
    worker.renew()
    worker.set("key:one", 1000, hard=False)
    renew(worker.accounts, worker.database, worker.clock.ms, doubted_budgets={number})
    account = next(iter(worker.accounts.every))
    assert (account.hard, account.available_pico) == (True, 0)
    worker.renew()
    assert (account.hard, account.available_pico) == (False, 1000 * USD)


async def test_what_was_spent_of_nothing_is_not_asked(worker: Worker) -> None:
    with worker.database.snapshot() as tx:
        assert spent_in(tx, rows.every(tx), worker.clock.ms) == {}
