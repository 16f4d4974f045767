"""Who looks at all keys every second sees what is on record, and the same objects where nothing is new."""

from __future__ import annotations

import asyncio
from datetime import UTC, timedelta

import pytest

from keyvault.domain.budgets import Period
from keyvault.domain.keys import GenerationState, KeyState
from keyvault.domain.scopes import parse_scope
from keyvault.keys.customers import Customers
from keyvault.keys.lifecycle import Keys
from keyvault.keys.stopping import Stops
from keyvault.keys.watching import KeyWatch
from keyvault.metering.budgets import Budgets, Terms
from keyvault.metering.ledger import Ledger
from keyvault.metering.tallies import Pair, Tallies
from keyvault.storage.callers import Use, record_uses
from keyvault.storage.engine import Database
from tests.conftest import FrozenClock
from tests.ledgers import attempt, book
from tests.pepper import FixedPepper

CHARGE = 8_000
"""Of each attempt that `book` settles."""


@pytest.fixture
def keys(database: Database, clock: FrozenClock) -> Keys:
    Customers(database, clock).ensure_default()
    return Keys(database, FixedPepper(), clock)


def test_a_key_is_read_again_only_when_it_has_changed(database: Database, clock: FrozenClock, keys: Keys) -> None:
    watch, stops = KeyWatch(database), Stops(database, FixedPepper(), clock)
    one, two = (keys.create(name).key for name in ("one", "two"))
    first = watch.read()
    assert first == {one.id: one, two.id: two}
    assert watch.read() is first
    keys.suspend("one")
    second = watch.read()
    assert second[one.id].state is KeyState.SUSPENDED
    assert second[two.id] is first[two.id]
    stops.delete("one")
    assert watch.read()[one.id].state is KeyState.DELETED
    stops.delete("one", purge=True)
    assert watch.read() == {two.id: two}
    stops.suspend_everybody()
    assert watch.read()[two.id].suspended_by == "all"
    stops.resume_everybody()
    assert watch.read()[two.id].suspended_by is None


def test_a_use_is_seen_though_nothing_else_changed(database: Database, clock: FrozenClock, keys: Keys) -> None:
    watch = KeyWatch(database)
    one, two = (keys.create(name).key for name in ("one", "two"))
    before = watch.read()
    for late in (5_000, 0):  # the second use was written down later than the first, which came after it
        with database.write() as tx:
            key = one if late else two
            record_uses(tx, [Use(key.id, 1, clock.ms + late, "openai-python", "10.0.0.1")])
        after = watch.read()
        used = after[key.id].generations[0]
        assert (used.last_client, used.last_address, used.state) == (
            "openai-python",
            "10.0.0.1",
            GenerationState.ACTIVE,
        )
    assert after[one.id] is not before[one.id]
    assert watch.read() is after


async def test_what_was_used_is_what_the_ledger_says_at_any_age(
    database: Database, clock: FrozenClock, keys: Keys
) -> None:
    """Now, an hour ago, days ago; seen by one who looked a quarter of an hour ago, and by one who looks first."""
    one, two = (keys.create(name).key for name in ("one", "two"))
    other = Customers(database, clock).create_project("default/other")
    budgets = Budgets(database, clock)
    for scope, period in (
        ("key:one", Period.MONTH),
        ("customer:default", Period.HOUR),
        ("project:default/other", Period.TOTAL),
    ):
        budgets.set(parse_scope(scope), Terms(10**12, period))
    looked = Tallies(database, clock, UTC)
    looked.read()
    ledger = Ledger(database, clock, "w1")
    ledger.start(asyncio.get_running_loop())
    try:
        now = clock.ms
        for back, of, payer in (
            (timedelta(0), one, 0), (timedelta(minutes=1), one, other.id), (timedelta(hours=1), two, 0),
            (timedelta(days=2), one, 0), (timedelta(days=40), two, 0),
        ):  # fmt: skip
            at = now + 60_000 - int(back.total_seconds() * 1000)
            await book(ledger, attempt(at, entropy=at, key_id=of.id, project_id=payer))
    finally:
        await asyncio.to_thread(ledger.stop)
    clock.advance(seconds=900)
    for tally in (looked.read(), Tallies(database, clock, UTC).read()):
        own, paid = Pair(one.id, one.project_id), Pair(one.id, other.id)
        assert {pair: used.requests for pair, used in tally.today.items()} == {
            own: 1, paid: 1, Pair(two.id, two.project_id): 1,
        }  # fmt: skip
        assert tally.month[own].spent_pico == CHARGE  # two days ago was another month
        assert (tally.hours[one.id][-1], tally.hours[two.id][-2]) == (2, 1)
        spent = {str(each.budget.scope): each.spent_pico for each in tally.budgets}
        assert spent == {"key:one": 2 * CHARGE, "customer:default": 2 * CHARGE, "project:default/other": CHARGE}
        assert spent == {str(each.budget.scope): each.spent_pico for each in budgets.list()}
    assert looked.read() is looked.read()


async def test_what_was_known_stays_true_as_time_goes_on(database: Database, clock: FrozenClock, keys: Keys) -> None:
    """From quarter to quarter, past midnight and into another month, a kept tally says what a new one says."""
    one = keys.create("one").key
    Budgets(database, clock).set(parse_scope("key:one"), Terms(10**12, Period.DAY))
    looked = Tallies(database, clock, UTC)
    ledger = Ledger(database, clock, "w1")
    ledger.start(asyncio.get_running_loop())
    try:
        for step, seconds in enumerate((0, 600, 900, 3_600, 43_200, 86_400, 86_400 * 31)):
            clock.advance(seconds=seconds)
            await book(ledger, attempt(clock.ms, entropy=step, key_id=one.id))
            kept, new = looked.read(), Tallies(database, clock, UTC).read()
            assert (kept.today, kept.month, kept.hours) == (new.today, new.month, new.hours)
            assert [each.spent_pico for each in kept.budgets] == [each.spent_pico for each in new.budgets]
    finally:
        await asyncio.to_thread(ledger.stop)
