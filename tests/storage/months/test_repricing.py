"""Pricing a span anew: the difference is booked once, as adjustments, and the ledger stays as it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from keyvault.clock import to_ms
from keyvault.domain.ledger import Basis, Outcome, Usage
from keyvault.domain.objects import State, StoredObject
from keyvault.domain.prices import Price, Rates, flat
from keyvault.domain.routes import Target
from keyvault.errors import Conflict, UsageError
from keyvault.metering.balances import Balances
from keyvault.metering.deferred import Counted, End, Line, book
from keyvault.metering.priced_anew import multiplier_of
from keyvault.metering.prices import PriceBook
from keyvault.metering.repricing import Repricings
from keyvault.metering.spending import Spending
from keyvault.metering.statements import Statements
from keyvault.storage import objects, prices
from keyvault.storage.engine import Database
from keyvault.storage.prices import Listed
from keyvault.storage.repricing import Priced
from keyvault.storage.schema import paid_work
from tests.conftest import FrozenClock
from tests.ledgers import rows, settlement
from tests.storage.months.conftest import ACME, DOLLAR, DRILL, KEY, NOVEMBER, OCTOBER, THEIRS, Books, meddled

SINCE, UNTIL = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
MILLION = Usage(input=1_000_000, output=0)


@pytest.fixture
def repricings(database: Database, clock: FrozenClock) -> Repricings:
    return Repricings(database, clock)


def price(database: Database, usd: int, model: str = "gpt-5", since: datetime = SINCE) -> int:
    """A million input tokens cost so many dollars."""
    rates = Rates(input=flat(usd * DOLLAR), output=flat(0))
    with database.write() as tx:
        return prices.insert(tx, Listed(Price(0, "openai", None, model, rates, since, "own", NOVEMBER), None))


async def served(books: Books, charge: int | None, **told: Any) -> None:
    """A million tokens, charged as a price of that many dollars says."""
    await books.add(OCTOBER, charge, usage=MILLION, **told)


async def test_the_difference_is_booked_once(
    books: Books,
    repricings: Repricings,
    service: Statements,
    database: Database,
    clock: FrozenClock,
) -> None:
    await served(books, 2 * DOLLAR)
    await served(books, 2 * DOLLAR)
    await served(books, None, key=THEIRS)
    await served(books, 2 * DOLLAR, key=DRILL)
    clock.ms = to_ms(NOVEMBER)
    before = rows(database)
    price(database, 3)
    database.rehearsal = True
    rehearsed = repricings.run(SINCE, UNTIL)
    database.rehearsal = False
    days: list[tuple[int, int]] = []
    done = repricings.run(SINCE, UNTIL, progress=lambda *told: days.append(told))
    assert days == [(9, 31), (31, 31)]
    assert replace(done, number=None) == replace(rehearsed, number=None)
    assert [(d.project, d.model, d.attempts, d.now_known, d.charge_pico) for d in done.differences] == [
        ("other/app", "gpt-5", 1, 1, 3 * DOLLAR),
        ("acme/web", "gpt-5", 2, 0, 2 * DOLLAR),
    ]
    assert done.waiting == (("acme", 2 * DOLLAR), ("other", 3 * DOLLAR))
    again = repricings.run(SINCE)
    assert (again.number, again.differences, again.looked_at) == (None, (), 3)
    assert rows(database) == before, "the ledger is never edited"
    assert service.create(ACME, "2026-09").adjustments == (), "it waits for the month that it corrects"
    made = service.create(ACME, "2026-10")
    [adjustment] = made.adjustments
    assert (adjustment.cents, made.total_cents) == (200, 600)
    assert adjustment.reason == f"repricing {done.number}: 2026-10-01T00:00Z to 2026-11-01T00:00Z"
    clock.ms = to_ms(datetime(2026, 12, 2, tzinfo=UTC))
    assert service.create(ACME, "2026-11").adjustments == (), "it stands on one statement"


async def test_a_price_corrected_again_books_only_what_changed_since(
    books: Books,
    repricings: Repricings,
    database: Database,
    clock: FrozenClock,
) -> None:
    await served(books, 2 * DOLLAR)
    clock.ms = to_ms(NOVEMBER)
    booked = []
    for usd in (5, 4, 2):
        price(database, usd)
        booked += [pico for _, pico in repricings.run(SINCE, UNTIL).waiting]
    assert booked == [3 * DOLLAR, -DOLLAR, -2 * DOLLAR]


async def test_spans_that_overlap_and_patterns_book_nothing_twice(
    books: Books,
    repricings: Repricings,
    database: Database,
    clock: FrozenClock,
) -> None:
    await served(books, 2 * DOLLAR)
    await served(books, 2 * DOLLAR, target="openai/gpt-5-mini")
    clock.ms = to_ms(NOVEMBER)
    for model in ("gpt-5", "gpt-5-mini"):
        price(database, 3, model)
    asked: list[tuple[str | None, str | None, int]] = [
        ("*-mini", None, 1),
        (None, "other", 0),
        (None, "OPEN*", 1),
        (None, None, 0),
    ]
    for of_model, of_upstream, attempts in asked:
        found = repricings.run(datetime(2026, 9, 1, tzinfo=UTC), model=of_model, upstream=of_upstream)
        assert sum(d.attempts for d in found.differences) == attempts, (of_model, of_upstream)


async def test_a_balance_gets_one_adjustment(
    books: Books,
    repricings: Repricings,
    balances: Balances,
    database: Database,
    clock: FrozenClock,
) -> None:
    balances.top_up(ACME, 10 * DOLLAR, "card")
    for _ in range(2):
        await served(books, 2 * DOLLAR, balance_id=1)
    clock.ms = to_ms(NOVEMBER)
    price(database, 3)
    assert repricings.run(SINCE).balances == (("customer:acme", -2 * DOLLAR),)
    assert balances.show(ACME).available_pico == 4 * DOLLAR
    assert [entry.amount_pico for entry in balances.history(ACME)] == [-2 * DOLLAR, 10 * DOLLAR]
    assert repricings.run(SINCE).balances == ()


async def test_only_what_is_under_way_is_left_for_a_later_run(
    books: Books,
    repricings: Repricings,
    database: Database,
    clock: FrozenClock,
) -> None:
    under_way = await books.open(datetime(2026, 10, 5, tzinfo=UTC))
    await books.open(datetime(2026, 10, 5, tzinfo=UTC), key=DRILL)
    await served(books, 2 * DOLLAR)
    clock.ms = to_ms(NOVEMBER)
    price(database, 3)
    first = repricings.run(SINCE, UNTIL, model="gpt-5")
    assert (first.until, first.left_out, first.waiting) == (UNTIL, 1, (("acme", DOLLAR),))
    await books.ledger.settle(settlement(under_way, usage=MILLION, cost_pico=2 * DOLLAR, charge_pico=2 * DOLLAR))
    later = repricings.run(SINCE, UNTIL)
    assert (later.left_out, later.waiting) == (0, (("acme", DOLLAR),))
    assert repricings.run(SINCE, UNTIL).differences == ()
    with pytest.raises(UsageError, match="nothing began in that span"):
        repricings.run(NOVEMBER)


def work(database: Database, clock: FrozenClock, kind: str, begun: datetime, *, on_record: bool = True) -> None:
    """Work `work_1` for a million tokens at a dollar, on record as pending, and booked now."""
    price_id = price(database, 1, since=datetime(2026, 1, 1, tzinfo=UTC))
    made = StoredObject("work_1", "openai", kind, 1, 1, 1, None, to_ms(begun), State.PENDING)
    with database.write() as tx:
        objects.add(tx, [made])
        known = PriceBook.load(tx)
    target = Target("openai", "gpt-5")
    line = Line(Counted("gpt-5", MILLION, Basis.PROVIDER), target, 1, 1, known.find("openai", None, "gpt-5", clock.ms))
    assert line.price is not None
    assert line.price.id == price_id
    assert book(database, clock, "w1", made, [line], End(Outcome.SERVED), 1_000_000, Spending(KEY))
    if not on_record:
        with database.write() as tx:
            tx.execute(sa.delete(paid_work))


def test_work_keeps_the_price_of_its_kind_and_of_its_beginning_when_its_object_is_gone(
    people: None, repricings: Repricings, database: Database, clock: FrozenClock
) -> None:
    clock.ms = to_ms(OCTOBER)
    work(database, clock, "batch", begun=datetime(2026, 9, 30, 23, tzinfo=UTC))
    with database.write() as tx:
        assert objects.forget(tx, "openai", "work_1")
    clock.ms = to_ms(NOVEMBER)
    price(database, 9)
    assert repricings.run(SINCE).differences == (), "begun before that price"
    price(database, 9, since=datetime(2026, 9, 1, tzinfo=UTC))
    price(database, 4, "gpt-5@batch", since=datetime(2026, 9, 1, tzinfo=UTC))
    assert repricings.run(SINCE).waiting == (("acme", 3 * DOLLAR),)


def test_work_that_nobody_knows_more_of_stays_as_it_was_and_is_counted(
    people: None, repricings: Repricings, database: Database, clock: FrozenClock
) -> None:
    clock.ms = to_ms(OCTOBER)
    work(database, clock, "message_batch", begun=OCTOBER, on_record=False)
    clock.ms = to_ms(NOVEMBER)
    price(database, 9)
    found = repricings.run(SINCE)
    assert (found.looked_at, found.untold, found.differences) == (1, 1, ())


def attempt(cost: int | None, charged: int | None, *, aborted: bool = False) -> Priced:
    return Priced("", 1, 0, 0, "openai", "gpt-5", MILLION, cost, charged, None, None, aborted, False, None)


@pytest.mark.parametrize(
    ("cost", "charged", "aborted", "multiplier"),
    [
        (DOLLAR, DOLLAR, False, 1_000_000),  # charged by another multiplier than the present one
        (DOLLAR, 3 * DOLLAR // 2, False, 1_500_000),
        (3, 4, False, 1_200_000),  # 3.6: the present one explains it
        (None, None, False, 1_200_000),
        (0, 0, False, 1_200_000),
        (None, 0, True, 0),  # free, by the key's choice
        (DOLLAR, 0, True, 0),
        (0, 0, True, 0),
    ],
)
def test_an_attempt_keeps_the_multiplier_it_was_charged_by(
    cost: int | None, charged: int | None, aborted: bool, multiplier: int
) -> None:
    assert multiplier_of(attempt(cost, charged, aborted=aborted), 1_200_000) == multiplier


async def test_what_came_to_nothing_or_failed_stays_free(
    books: Books,
    repricings: Repricings,
    database: Database,
    clock: FrozenClock,
) -> None:
    await books.add(OCTOBER, 0, usage=Usage(input=0, output=0))
    await served(books, 0, outcome=Outcome.FAILED)
    clock.ms = to_ms(NOVEMBER)
    price(database, 3)
    assert repricings.run(SINCE).differences == ()


async def test_prices_that_change_while_it_reads_are_not_missed(
    books: Books, repricings: Repricings, database: Database, clock: FrozenClock
) -> None:
    await served(books, 2 * DOLLAR)
    clock.ms = to_ms(NOVEMBER)
    price(database, 3)
    for meddle in (lambda: price(database, 4), lambda: repricings.run(SINCE)):
        with meddled(database, meddle) as other, pytest.raises(Conflict, match="meanwhile"):
            Repricings(other, clock).run(SINCE)
