"""Prepaid balances: entries that are never edited, what is taken from them, and what does not hold."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from keyvault.domain.balances import EntryKind
from keyvault.domain.ledger import Outcome
from keyvault.domain.scopes import parse_scope
from keyvault.errors import Conflict, NotFound, Tampered, UsageError
from keyvault.keys.customers import Customers
from keyvault.metering.accounts import Accounts
from keyvault.metering.balances import Balances
from keyvault.metering.examining import Examiner
from keyvault.metering.ledger import Ledger
from keyvault.metering.remembered import Remembered, Seen
from keyvault.metering.spending import Spending
from keyvault.storage import balances as rows
from keyvault.storage.engine import Database
from keyvault.storage.ledger import LedgerStore
from tests.accounts import renew
from tests.conftest import FrozenClock
from tests.ledgers import attempt, book

DOLLAR = 10**12
ACME = parse_scope("customer:acme")
KEY = b"k" * 32


@pytest.fixture
def remembered(tmp_path: Path) -> Remembered:
    return Remembered(tmp_path / "spending.json")


@pytest.fixture
def service(database: Database, clock: FrozenClock, remembered: Remembered) -> Balances:
    Customers(database, clock).create("acme")
    Customers(database, clock).create_project("acme/web")
    return Balances(database, clock, lambda: Spending(KEY), remembered)


def take(database: Database, spending: Spending, charged: int, doubt: int = 0, balance_id: int = 1) -> None:
    store = LedgerStore(database)
    with store.transaction() as tx:
        taken = spending.take(tx, {balance_id: (charged, doubt)})
    spending.written(taken)
    store.close()


def by_hand(database: Database, statement: str) -> None:
    with database.write() as tx:
        tx.execute(sa.text(statement))


def doubts(database: Database, seen: dict[str, Seen] | None = None) -> list[str]:
    """Why balances cover nothing, to a process that starts now."""
    return list(Examiner(Spending(KEY), seen or {}).look(database.snapshot).values())


def test_entries_add_up_and_the_newest_come_first(service: Balances) -> None:
    service.top_up(ACME, 10 * DOLLAR, "invoice 1")
    service.adjust(ACME, -2 * DOLLAR, "booked twice")
    booked = service.top_up(ACME, DOLLAR // 2, "card")
    assert booked.standing.balance.funded_pico == booked.standing.available_pico == 8 * DOLLAR + DOLLAR // 2
    told = [(e.number, e.kind, e.amount_pico, e.reason) for e in service.history(ACME)]
    assert told == [
        (3, EntryKind.TOP_UP, DOLLAR // 2, "card"),
        (2, EntryKind.ADJUST, -2 * DOLLAR, "booked twice"),
        (1, EntryKind.TOP_UP, 10 * DOLLAR, "invoice 1"),
    ]
    assert [e.number for e in service.history(ACME, limit=1)] == [3]
    assert [e.number for e in service.history(ACME, before=3, limit=5)] == [2, 1]


def test_customer_project_and_test_keys_have_balances_of_their_own(service: Balances) -> None:
    service.top_up(ACME, 1 * DOLLAR, "live")
    service.top_up(ACME, 2 * DOLLAR, "test", env="test")
    service.top_up(parse_scope("project:acme/web"), 3 * DOLLAR, "project")
    found = [(str(s.balance.scope), s.balance.env, s.available_pico // DOLLAR) for s in service.list()]
    assert found == [("customer:acme", "live", 1), ("customer:acme", "test", 2), ("project:acme/web", "live", 3)]


def test_the_same_payment_is_booked_once_and_never_as_another(service: Balances) -> None:
    first = service.top_up(ACME, 5 * DOLLAR, "card", payment="ch_1")
    again = service.top_up(ACME, 5 * DOLLAR, "card, tried again", payment="ch_1")
    assert (first.fresh, again.fresh) == (True, False)
    assert again.entry == first.entry
    assert again.standing.available_pico == 5 * DOLLAR
    with pytest.raises(Conflict, match="already"):
        service.top_up(ACME, 6 * DOLLAR, "card", payment="ch_1")
    with pytest.raises(Conflict, match="already"):
        service.adjust(ACME, 5 * DOLLAR, "card", payment="ch_1")
    with pytest.raises(Conflict, match="on another balance already: customer:acme live"):
        service.top_up(ACME, 5 * DOLLAR, "card", payment="ch_1", env="test")


def test_what_is_in_doubt_is_given_back_at_most_once(service: Balances, database: Database) -> None:
    service.top_up(ACME, 10 * DOLLAR, "invoice 1")
    take(database, Spending(KEY), 3 * DOLLAR, 2 * DOLLAR)
    assert service.show(ACME).available_pico == 5 * DOLLAR
    service.release(ACME, "seen on the bill", DOLLAR // 2)
    now = service.release(ACME, "the rest")
    assert now.entry.amount_pico == 2 * DOLLAR - DOLLAR // 2
    assert (now.standing.available_pico, now.standing.balance.in_doubt_pico) == (7 * DOLLAR, 0)
    with pytest.raises(Conflict, match="in doubt"):
        service.release(ACME, "once more")


@pytest.mark.parametrize(
    ("scope", "pico", "reason", "more", "error"),
    [
        ("key:ci-bot", DOLLAR, "x", {}, UsageError),
        ("customer:nobody", DOLLAR, "x", {}, NotFound),
        ("customer:acme", 0, "x", {}, UsageError),
        ("customer:acme", -DOLLAR, "x", {}, UsageError),
        ("customer:acme", 5_000_000 * DOLLAR, "x", {}, UsageError),
        ("customer:acme", DOLLAR, "  ", {}, UsageError),
        ("customer:acme", DOLLAR, "a\x1b[31m", {}, UsageError),
        ("customer:acme", DOLLAR, "x", {"env": "prod"}, UsageError),
        ("customer:acme", DOLLAR, "x", {"payment": "a\nb"}, UsageError),
    ],
)
def test_what_makes_no_sense_books_nothing(
    service: Balances, scope: str, pico: int, reason: str, more: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        service.top_up(parse_scope(scope), pico, reason, **more)
    assert service.list() == []


def test_a_balance_that_was_never_topped_up_cannot_be_adjusted(service: Balances) -> None:
    with pytest.raises(NotFound, match="no such balance"):
        service.adjust(ACME, DOLLAR, "x")


def test_a_balance_holds_no_more_than_its_sums_can(service: Balances) -> None:
    service.top_up(ACME, 4_000_000 * DOLLAR, "much")
    with pytest.raises(UsageError, match="too large"):
        service.top_up(ACME, 1, "too much")


TAMPERED = {
    "an entry's amount": "UPDATE balance_entries SET amount_pico = 99 WHERE number = 1",
    "an entry's kind": "UPDATE balance_entries SET kind = 'gift' WHERE number = 1",
    "an entry added": "INSERT INTO balance_entries SELECT balance_id, 3, at_ms, actor, kind, amount_pico, reason, "
    "payment, digest FROM balance_entries WHERE number = 2",
    "an entry removed": "DELETE FROM balance_entries WHERE number = 2",
    "the sum": "UPDATE balances SET funded_pico = funded_pico + 1",
    "what was released": "UPDATE balances SET released_pico = 1",
    "the number of entries": "UPDATE balances SET entries = 1",
    "what was charged": "UPDATE balance_spending SET charged_pico = -5",
    "what is in doubt": "UPDATE balance_spending SET doubt_pico = 0",
    "the version": "UPDATE balance_spending SET version = 99",
    "the MAC": "UPDATE balance_spending SET mac = NULL",
    "the row of what was taken": "DELETE FROM balance_spending",
}


@pytest.mark.parametrize("what", TAMPERED)
def test_whatever_is_changed_by_hand_is_noticed(service: Balances, database: Database, what: str) -> None:
    service.top_up(ACME, 10 * DOLLAR, "one")
    service.top_up(ACME, 10 * DOLLAR, "two")
    take(database, Spending(KEY), DOLLAR, DOLLAR)
    assert doubts(database) == []
    by_hand(database, TAMPERED[what])
    assert len(doubts(database)) == 1
    [verdict] = service.verify()
    assert verdict.tampered is not None


def test_an_older_row_put_back_shows_to_who_remembers(service: Balances, database: Database) -> None:
    service.top_up(ACME, 10 * DOLLAR, "one")
    spending = Spending(KEY)
    take(database, spending, DOLLAR)
    with database.read() as tx:
        [old] = rows.taken(tx)
    take(database, spending, 5 * DOLLAR)
    watching = Examiner(Spending(KEY), {})
    assert not watching.look(database.snapshot)
    with database.write() as tx:
        rows.set_taken(tx, old)
    assert watching.look(database.snapshot), "it has seen the newer one"
    assert doubts(database, dict(watching.seen)), "so has who reads what it wrote down"
    assert not doubts(database), "its MAC fits: without a memory nobody can tell"


def test_the_ledger_signs_no_row_that_was_put_back_or_edited(service: Balances, database: Database) -> None:
    service.top_up(ACME, 10 * DOLLAR, "one")
    spending = Spending(KEY)
    take(database, spending, DOLLAR)
    with database.read() as tx:
        [old] = rows.taken(tx)
    take(database, spending, DOLLAR)
    with database.write() as tx:
        rows.set_taken(tx, old)
    take(database, spending, DOLLAR)
    assert doubts(database), "put back, and written again within the same process"


def test_two_who_book_by_turns_each_find_what_the_other_has_written(service: Balances, database: Database) -> None:
    service.top_up(ACME, 10 * DOLLAR, "one")
    one, other = Spending(KEY), Spending(KEY)
    for spending in (one, one, other, one, other, other, one):
        take(database, spending, DOLLAR, doubt=3)
    with database.read() as tx:
        [row] = rows.taken(tx)
    assert (row.version, row.charged_pico, row.doubt_pico) == (8, 7 * DOLLAR, 21)
    assert one.fits(row)
    assert not doubts(database)


def test_entries_are_not_added_to_a_chain_that_somebody_has_lengthened(service: Balances, database: Database) -> None:
    service.top_up(ACME, 10 * DOLLAR, "one")
    service.top_up(ACME, 10 * DOLLAR, "two")
    by_hand(database, TAMPERED["an entry added"])
    with pytest.raises(Tampered, match="put in or removed"):
        service.top_up(ACME, DOLLAR, "three")


@pytest.mark.parametrize("what", sorted(set(TAMPERED) - {"an entry's kind"}))
def test_a_person_may_vouch_for_a_balance_as_it_is(service: Balances, database: Database, what: str) -> None:
    service.top_up(ACME, 10 * DOLLAR, "one")
    service.top_up(ACME, 10 * DOLLAR, "two")
    take(database, Spending(KEY), DOLLAR, DOLLAR)
    by_hand(database, TAMPERED[what])
    service.reseal(ACME, "looked into it")
    assert doubts(database) == []
    service.top_up(ACME, DOLLAR, "it goes on")
    assert doubts(database) == []


def test_vouching_takes_the_most_that_is_known_as_spent(
    service: Balances, database: Database, remembered: Remembered
) -> None:
    service.top_up(ACME, 10 * DOLLAR, "one")
    remembered.write({"customer:acme live": Seen(7, 4 * DOLLAR, DOLLAR)})
    by_hand(database, "UPDATE balance_spending SET charged_pico = -5")
    standing = service.reseal(ACME, "looked into it")
    assert (standing.balance.charged_pico, standing.balance.doubt_pico) == (4 * DOLLAR, DOLLAR)
    assert doubts(database, remembered.read()) == []


def test_what_cannot_be_read_is_not_vouched_for(service: Balances, database: Database) -> None:
    service.top_up(ACME, 10 * DOLLAR, "one")
    by_hand(database, TAMPERED["an entry's kind"])
    for read in (lambda: service.history(ACME), lambda: service.reseal(ACME, "x")):
        with pytest.raises(Tampered, match="entry 1"):
            read()


async def test_what_has_been_in_doubt_for_long_is_given_back_alone(
    service: Balances, database: Database, clock: FrozenClock
) -> None:
    service.top_up(ACME, 10 * DOLLAR, "one")
    ledger = Ledger(database, clock, "w1", spending=Spending(KEY))
    ledger.start(asyncio.get_running_loop())
    for days, dollars in ((9, 1), (8, 2), (0, 4)):
        began = attempt(clock.now_ms() - days * 86_400_000, entropy=days, balance_id=1)
        await book(ledger, began, outcome=Outcome.FAILED, charge_pico=0, doubt_pico=dollars * DOLLAR)
    ledger.stop()
    week = timedelta(days=7)
    with pytest.raises(Conflict, match="in doubt for longer than 7d on the balance of customer:acme is 3 USD"):
        service.release(ACME, "too much", 4 * DOLLAR, older_than=week)
    assert service.release(ACME, "a part", DOLLAR, older_than=week).entry.amount_pico == DOLLAR
    assert service.release(ACME, "the rest", older_than=week).entry.amount_pico == 2 * DOLLAR
    with pytest.raises(Conflict, match="is 0 USD"):
        service.release(ACME, "once more", older_than=week)
    assert service.release(ACME, "all").entry.amount_pico == 4 * DOLLAR


def test_a_worker_goes_by_its_memory_and_draws_on_nothing_doubted(
    service: Balances, database: Database, clock: FrozenClock
) -> None:
    service.top_up(ACME, 10 * DOLLAR, "one")
    accounts = Accounts()

    def available(*doubted: int) -> int:
        renew(accounts, database, clock.now_ms(), doubted_balances=doubted)
        [account] = accounts.every
        return account.available_pico

    assert available() == 10 * DOLLAR
    by_hand(database, "UPDATE balance_spending SET charged_pico = -90000000000000")
    assert available(1) == 0
    by_hand(database, "UPDATE balance_spending SET charged_pico = 3000000000000")
    assert available() == 7 * DOLLAR, "more than it knew was taken"
    by_hand(database, "UPDATE balance_spending SET charged_pico = 0")
    assert available() == 7 * DOLLAR, "never less"
    by_hand(database, "DELETE FROM balance_spending")
    by_hand(database, "DELETE FROM balance_entries")
    by_hand(database, "DELETE FROM balances")
    assert available() <= 0, "one that is gone covers nothing, and does not set its customer free"


def test_the_memory_outside_the_database_survives_and_ignores_what_it_cannot_read(remembered: Remembered) -> None:
    seen = {"customer:acme live": Seen(3, 5, 7)}
    assert remembered.read() == {}
    remembered.write(seen)
    assert remembered.read() == seen
    assert remembered.path.stat().st_mode & 0o777 == 0o600
    for nonsense in ("", "[]", '{"a": 1}', '{"a": {"version": "x"}}'):
        remembered.path.write_text(nonsense)
        assert remembered.read() == {}


async def test_sums_over_attempts_are_exact_where_each_is_a_part_of_a_millionth_more(
    service: Balances, database: Database, clock: FrozenClock
) -> None:
    """One and a half millionths, three times over: rounding each part, or adding it twice, shows."""
    balance = service.top_up(ACME, DOLLAR, "card").standing.balance.id
    ledger = Ledger(database, clock, "w1", spending=Spending(KEY))
    ledger.start(asyncio.get_running_loop())
    for at in range(3):
        began = attempt(clock.now_ms() - at, entropy=at, balance_id=balance)
        await book(ledger, began, outcome=Outcome.FAILED, charge_pico=1_500_000, doubt_pico=2_700_001)
    ledger.stop()
    with database.read() as tx:
        assert rows.attempted(tx) == {balance: (3 * 1_500_000, 3 * 2_700_001)}
        assert rows.doubted_since(tx, balance, clock.now_ms() - 1_000) == 3 * 2_700_001
