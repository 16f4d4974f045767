"""Closing a month: what a statement says, that it is closed once and never edited, and what is corrected later."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from keyvault.clock import from_ms, to_ms
from keyvault.domain.ledger import Basis, Outcome, Usage
from keyvault.domain.scopes import parse_scope
from keyvault.domain.statements import BalanceMoves, Statement, digest, written
from keyvault.errors import Conflict, NotFound, Tampered, UsageError
from keyvault.keys.customers import Customers
from keyvault.metering.balances import Balances
from keyvault.metering.issued import Vouched
from keyvault.metering.statements import AT_ONCE, TURN_SECONDS, Statements
from keyvault.storage.engine import Database
from keyvault.storage.schema import objects, statements
from tests.conftest import FrozenClock
from tests.ledgers import settlement
from tests.storage.months.conftest import (
    ACME,
    CENT,
    DOLLAR,
    DRILL,
    LATE_OCTOBER,
    NOVEMBER,
    OCTOBER,
    OTHER,
    THEIRS,
    Books,
    Counted,
    meddled,
)


def by_hand(database: Database, statement: str) -> None:
    with database.write() as tx:
        tx.execute(sa.text(statement))


async def test_a_month_says_what_each_model_cost_each_project(
    books: Books, service: Statements, clock: FrozenClock
) -> None:
    await books.add(OCTOBER, DOLLAR + CENT // 4)
    await books.add(OCTOBER, CENT // 2, target="openai/gpt-5-mini")
    await books.add(OCTOBER, 5 * DOLLAR, key=DRILL)
    await books.add(OCTOBER, 7 * DOLLAR, key=THEIRS)
    await books.add(NOVEMBER, 9 * DOLLAR)
    clock.ms = to_ms(NOVEMBER)
    made = service.create(ACME, "2026-10")
    assert (made.number, made.customer, made.month, made.zone) == ("2026-0001", "acme", "2026-10", "UTC")
    assert [(line.project, line.model, line.requests, line.cents) for line in made.lines] == [
        ("acme/web", "gpt-5", 1, 100),
        ("acme/web", "gpt-5-mini", 1, 1),
    ]
    assert (made.total_pico, made.total_cents, made.due_cents) == (DOLLAR + 3 * CENT // 4, 101, 101)
    assert service.create(OTHER, "2026-10").number == "2026-0002"


async def test_unknown_charges_are_counted_and_doubt_stands_apart(
    books: Books, service: Statements, clock: FrozenClock
) -> None:
    await books.add(OCTOBER, DOLLAR)
    await books.add(OCTOBER, None, basis=Basis.UNKNOWN, usage=Usage())
    await books.add(OCTOBER, 0, outcome=Outcome.FAILED, doubt_pico=3 * CENT)
    clock.ms = to_ms(NOVEMBER)
    made = service.create(ACME, "2026-10")
    assert [(line.requests, line.unknown_charges, line.cents) for line in made.lines] == [(3, 1, 100)]
    assert (made.unknown_charges, made.doubt_pico, made.total_cents) == (1, 3 * CENT, 100)


async def test_a_month_of_berlin_begins_and_ends_at_its_midnights(
    books: Books, service: Statements, clock: FrozenClock
) -> None:
    for at in ("2026-09-30T21:59", "2026-09-30T22:00", "2026-10-31T22:59", "2026-10-31T23:00"):
        await books.add(datetime.fromisoformat(f"{at}:00+00:00"), DOLLAR)
    clock.ms = to_ms(NOVEMBER)
    assert service.create(ACME, "2026-09", "Europe/Berlin").total_cents == 100
    made = service.create(ACME, "2026-10")
    assert (made.zone, made.total_cents) == ("Europe/Berlin", 200), "as the customer's statements are"
    with pytest.raises(Conflict, match="would overlap") as refused:
        service.create(ACME, "2026-11", "UTC")
    assert refused.value.hint == "--tz Europe/Berlin"


async def test_a_balance_opens_and_closes_exactly_whatever_came_later(
    books: Books, service: Statements, balances: Balances, clock: FrozenClock
) -> None:
    balances.top_up(ACME, 10 * DOLLAR, "card")
    clock.ms = to_ms(OCTOBER)
    await books.add(from_ms(clock.ms - 86_400_000 * 20), DOLLAR, balance_id=1)
    balances.top_up(ACME, 5 * DOLLAR, "card")
    balances.adjust(ACME, -DOLLAR, "booked twice")
    await books.add(OCTOBER, 2 * DOLLAR + 1, balance_id=1)
    await books.add(OCTOBER, 0, outcome=Outcome.FAILED, doubt_pico=7, balance_id=1)
    clock.ms = to_ms(NOVEMBER)
    await books.add(NOVEMBER, 4 * DOLLAR, balance_id=1)
    balances.top_up(ACME, 100 * DOLLAR, "card")
    made = service.create(ACME, "2026-10")
    assert made.balances == (
        BalanceMoves(
            scope="customer:acme",
            opening_pico=9 * DOLLAR,
            top_ups_pico=5 * DOLLAR,
            adjustments_pico=-DOLLAR,
            released_pico=0,
            charged_pico=2 * DOLLAR + 1,
            doubt_pico=7,
            closing_pico=11 * DOLLAR - 8,
        ),
    )
    assert (made.total_cents, made.prepaid_cents, made.due_cents) == (200, 200, 0)


async def test_a_month_is_closed_once_after_its_end_and_when_all_is_settled(
    books: Books, service: Statements, clock: FrozenClock, database: Database
) -> None:
    one = await books.open(LATE_OCTOBER)
    other = await books.open(LATE_OCTOBER, key=THEIRS)
    clock.ms = to_ms(datetime(2026, 11, 1, tzinfo=UTC))
    with pytest.raises(Conflict, match="not over yet"):
        service.create(ACME, "2026-10")
    assert service.draft(ACME, "2026-10").number is None
    clock.ms = to_ms(NOVEMBER)
    with pytest.raises(Conflict, match="1 attempt of acme"):
        service.create(ACME, "2026-10")
    await books.ledger.settle(settlement(one))
    assert service.create(ACME, "2026-10").number == "2026-0001"
    with pytest.raises(Conflict, match="closed already") as refused:
        service.create(ACME, "2026-10")
    assert refused.value.hint == "gwctl statements show 2026-0001"
    with pytest.raises(Conflict):
        service.draft(ACME, "2026-10")
    assert service.create_all("2026-09") == []
    with pytest.raises(Conflict, match="of other"):
        service.create_all("2026-10")
    await books.ledger.settle(settlement(other))
    assert [(made.customer, made.number) for made in service.create_all("2026-10")] == [("other", "2026-0002")]


async def test_months_are_closed_in_order_and_none_from_before_the_customer(
    books: Books, service: Statements, clock: FrozenClock
) -> None:
    await books.add(OCTOBER, DOLLAR)
    clock.ms = to_ms(datetime(2027, 1, 5, tzinfo=UTC))
    with pytest.raises(Conflict, match="there was no customer acme yet"):
        service.create(ACME, "2025-10")
    assert service.create_all("2025-10") == [], "whatever waits"
    service.create(ACME, "2026-09")
    with pytest.raises(Conflict, match="2026-10 of acme has charges and is not closed") as refused:
        service.create(ACME, "2026-11")
    assert refused.value.hint == "gwctl statements create customer:acme --month 2026-10"
    service.create(ACME, "2026-10")
    assert service.create(ACME, "2026-12").number == "2027-0003", "of November there is nothing to say"
    with pytest.raises(Conflict, match="comes before 2026-12"):
        service.create(ACME, "2026-11")
    assert service.create_all("2026-11") == []


def test_all_are_closed_some_at_a_time_and_numbered_without_gaps(
    people: None, database: Database, service: Statements, clock: FrozenClock
) -> None:
    for number in range(AT_ONCE):
        Customers(database, clock).create(f"c{number:03}")
    for number in range(AT_ONCE):
        service.adjust(parse_scope(f"customer:c{number:03}"), DOLLAR, "x")
    service.adjust(ACME, DOLLAR, "x")
    clock.ms = to_ms(NOVEMBER)
    counted = Counted(database)
    counted.rehearsal = True
    rehearsed = Statements(counted, clock, lambda: None).create_all("2026-10")
    counted.rehearsal = False
    turns: list[float] = []
    made = Statements(counted, clock, lambda: None, sleep=turns.append).create_all("2026-10")
    assert turns == [TURN_SECONDS], "others have theirs between two transactions"
    assert [each.number for each in made] == [f"2026-{number:04}" for number in range(1, AT_ONCE + 2)]
    assert [each.number for each in rehearsed] == [each.number for each in made]
    assert counted.changes == 4, "two transactions each"
    counted.close()


async def test_a_rehearsal_gives_no_number(
    books: Books, service: Statements, clock: FrozenClock, database: Database
) -> None:
    clock.ms = to_ms(NOVEMBER)
    database.rehearsal = True
    assert service.create(ACME, "2026-10").number == "2026-0001"
    database.rehearsal = False
    assert service.list() == []


@pytest.mark.parametrize("scope", ["project:acme/web", "key:search"])
def test_statements_are_for_customers(people: None, service: Statements, scope: str) -> None:
    with pytest.raises(UsageError) as refused:
        service.create(parse_scope(scope), "2026-08")
    assert (refused.value.hint or "").startswith("customer:")


@pytest.fixture
def issued(people: None, service: Statements, clock: FrozenClock) -> Statements:
    """Of acme's September, which charged nothing."""
    clock.ms = to_ms(NOVEMBER)
    service.create(ACME, "2026-09")
    return service


TAMPERED = {
    "the content": "UPDATE statements SET content = replace(content, 'total_cents\"\\:0', 'total_cents\"\\:9')",
    "the content made unreadable": "UPDATE statements SET content = 'x'",
    "the amount": "UPDATE statements SET amount_cents = 9",
    "whose it is": "UPDATE statements SET customer_id = 2",
    "the number": "UPDATE statements SET number = '2026-0002'",
    "when": "UPDATE statements SET created_ms = 5",
    "the digest": "UPDATE statements SET digest = CAST(content AS BLOB)",
}


@pytest.mark.parametrize("what", TAMPERED)
def test_an_edited_statement_is_found_and_not_shown(issued: Statements, database: Database, what: str) -> None:
    statement = TAMPERED[what]
    if what == "the digest" and not database.is_sqlite:
        statement = "UPDATE statements SET digest = convert_to(content, 'UTF8')"
    assert (issued.show("2026-0001").vouched, issued.verify()) == (Vouched.LOCKED, [])
    assert [each.changed for each in issued.list()] == [False]
    by_hand(database, statement)
    assert issued.verify()
    assert [each.changed for each in issued.list()] == [True]
    with pytest.raises(Tampered):
        issued.show(issued.list()[0].number)


def test_one_rewritten_with_its_digest_differs_from_the_audit_log(issued: Statements, database: Database) -> None:
    shown = issued.show("2026-0001").document
    assert isinstance(shown, Statement)
    content = written(replace(shown, doubt_pico=5))
    with database.write() as tx:
        tx.execute(sa.update(statements).values(content=content, digest=digest(content)))
    with pytest.raises(Tampered):
        issued.show("2026-0001")


def test_a_number_that_is_missing_is_told_of(issued: Statements, database: Database) -> None:
    issued.create(OTHER, "2026-09")
    by_hand(database, "DELETE FROM statements WHERE number = '2026-0001'")
    assert issued.verify() == ["there is no 2026-0001, and a later one"]
    assert issued.create(ACME, "2026-09").number == "2026-0003", "a number is never given twice"


async def test_credit_notes_give_back_no_more_than_was_charged(
    books: Books, service: Statements, balances: Balances, clock: FrozenClock
) -> None:
    await books.add(OCTOBER, 3 * DOLLAR)
    clock.ms = to_ms(NOVEMBER)
    with pytest.raises(NotFound):
        service.credit("2026-0001", 1, "x")
    service.create(ACME, "2026-10")
    note = service.credit("2026-0001", 250, "goodwill")
    assert (note.number, note.credits, note.amount_cents, note.balance) == ("2026-0002", "2026-0001", 250, None)
    with pytest.raises(Conflict, match=r"no more than 0\.50 USD"):
        service.credit("2026-0001", 51, "too much")
    with pytest.raises(UsageError, match="credit note itself"):
        service.credit("2026-0002", 1, "x")
    with pytest.raises(NotFound):
        service.credit("2026-0001", 50, "there is no balance", to_balance=True)
    balances.top_up(ACME, DOLLAR, "card")
    assert service.credit("2026-0001", 50, "the rest", to_balance=True).balance == "customer:acme"
    assert balances.show(ACME).available_pico == DOLLAR + 50 * CENT
    assert balances.history(ACME)[0].reason == "credit note 2026-0003"
    shown = service.show("2026-0001")
    assert shown.document.cents == 300, "the statement stays as it is"
    assert [each.number for each in shown.credit_notes] == ["2026-0002", "2026-0003"]
    assert [(each.number, each.credited_cents) for each in service.list(ACME, "2026-10")] == [
        ("2026-0001", 300),
        ("2026-0002", 0),
        ("2026-0003", 0),
    ]
    assert service.list(ACME, "2026-09") == []
    with pytest.raises(UsageError, match="not a month"):
        service.list(ACME, "2026-13")


async def test_the_balance_of_a_project_is_its_customer_s_to_see(
    books: Books, service: Statements, balances: Balances, clock: FrozenClock
) -> None:
    balances.top_up(parse_scope("project:acme/web"), 5 * DOLLAR, "card")
    balances.top_up(parse_scope("customer:acme"), 9 * DOLLAR, "staging", env="test")
    await books.add(OCTOBER, 2 * DOLLAR, balance_id=1)
    await books.add(OCTOBER, DOLLAR)
    clock.ms = to_ms(NOVEMBER)
    made = service.create(ACME, "2026-10")
    assert [(moves.scope, moves.charged_pico, moves.closing_pico) for moves in made.balances] == [
        ("project:acme/web", 2 * DOLLAR, 3 * DOLLAR)
    ]
    assert (made.total_cents, made.prepaid_cents, made.due_cents) == (300, 200, 100)


def test_work_that_is_not_done_is_told_and_charged_when_it_is(
    people: None, service: Statements, clock: FrozenClock, database: Database
) -> None:
    work = {"upstream": "openai", "kind": "batch", "project_id": 1, "key_id": 1, "generation": 1, "state": "pending"}
    with database.write() as tx:
        tx.execute(sa.insert(objects).values(object_id="batch_1", created_ms=to_ms(OCTOBER), **work))
    clock.ms = to_ms(NOVEMBER)
    assert (service.create(ACME, "2026-10").pending, service.create(OTHER, "2026-10").pending) == (1, 0)


async def test_who_is_named_by_a_request_gets_its_charge(books: Books, service: Statements, clock: FrozenClock) -> None:
    await books.add(OCTOBER, DOLLAR, key=THEIRS, project_id=1)
    clock.ms = to_ms(NOVEMBER)
    assert (service.create(ACME, "2026-10").total_cents, service.create(OTHER, "2026-10").total_cents) == (100, 0)


def test_of_two_who_close_a_month_at_once_one_does(
    people: None, service: Statements, database: Database, clock: FrozenClock
) -> None:
    clock.ms = to_ms(NOVEMBER)
    with meddled(database, lambda: service.create(ACME, "2026-10")) as other, pytest.raises(Conflict, match="already"):
        Statements(other, clock, lambda: None).create(ACME, "2026-10")
    assert [each.number for each in service.list()] == ["2026-0001"]
