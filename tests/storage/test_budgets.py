"""Budgets as a service, on both databases: one for each scope, models, environment and period; audited, followed."""

from __future__ import annotations

from itertools import pairwise

import pytest

from keyvault import audit
from keyvault.domain.budgets import Period
from keyvault.domain.scopes import parse_scope
from keyvault.errors import Conflict, NotFound, UsageError
from keyvault.keys.customers import Customers
from keyvault.keys.deleting import delete
from keyvault.keys.known import existing_key
from keyvault.keys.lifecycle import Keys
from keyvault.metering.budgets import Budgets, Terms
from keyvault.storage import audit as audit_rows
from keyvault.storage import epochs
from keyvault.storage.engine import Database
from keyvault.workers import Workers
from tests.conftest import FrozenClock
from tests.pepper import FixedPepper

USD = 10**12
ACME = parse_scope("customer:acme")
CI_BOT = parse_scope("key:ci-bot")
MONTHLY = Terms(10 * USD, Period.MONTH)


@pytest.fixture
def budgets(database: Database, clock: FrozenClock) -> Budgets:
    Customers(database, clock).create("acme")
    Customers(database, clock).create_project("acme/web")
    Customers(database, clock).ensure_default()
    return Budgets(database, clock)


@pytest.fixture
def keys(database: Database, clock: FrozenClock, budgets: Budgets) -> Keys:
    return Keys(database, FixedPepper(), clock)


def money_epoch(database: Database) -> int:
    with database.read() as tx:
        return epochs.current(tx)[4]


def actions(database: Database) -> list[str]:
    with database.read() as tx:
        assert audit.verify(tx) is None
        return [row["action"] for row in audit_rows.after(tx, 0)]


def test_each_change_is_audited_and_followed_and_what_changes_nothing_is_neither(
    database: Database, budgets: Budgets
) -> None:
    seen = [money_epoch(database)]
    for change in (MONTHLY, Terms(20 * USD, Period.MONTH), Terms(20 * USD, Period.MONTH)):
        budgets.set(ACME, change)
        seen.append(money_epoch(database))
    budgets.delete(ACME)
    seen.append(money_epoch(database))
    assert [after - before for before, after in pairwise(seen)] == [1, 1, 0, 1]
    assert actions(database)[-3:] == ["budgets.set", "budgets.set", "budgets.delete"]


def test_one_is_found_by_what_tells_it_apart(budgets: Budgets) -> None:
    for terms in (
        MONTHLY,
        Terms(1 * USD, Period.DAY),
        Terms(2 * USD, Period.DAY, "gpt-5*"),
        Terms(3 * USD, Period.DAY, env="test"),
    ):
        budgets.set(ACME, terms)
    assert len(budgets.list()) == 4
    assert budgets.show(ACME, Period.MONTH).budget.amount_pico == 10 * USD
    assert budgets.show(ACME, model="gpt-5*").budget.amount_pico == 2 * USD
    assert budgets.show(ACME, env="test").budget.amount_pico == 3 * USD
    assert budgets.show(ACME, Period.DAY, model="*", env="live").budget.amount_pico == 1 * USD
    with pytest.raises(Conflict, match="3 such budgets"):
        budgets.delete(ACME, Period.DAY)
    with pytest.raises(NotFound, match="no such budget"):
        budgets.show(ACME, Period.HOUR)
    assert budgets.list(parse_scope("project:acme/web")) == []


def test_a_key_is_made_with_its_budgets_or_not_at_all(database: Database, budgets: Budgets, keys: Keys) -> None:
    key = keys.create("ci-bot", env="test", rules=[budgets.of_new_key(MONTHLY)]).key
    assert budgets.show(CI_BOT).budget.scope.id == key.id
    assert budgets.show(CI_BOT).budget.env == "test"

    def fails(*_: object) -> None:
        raise UsageError("no")

    with pytest.raises(UsageError):
        keys.create("other", rules=[budgets.of_new_key(MONTHLY), fails])
    assert [each.name for each in keys.list()] == ["ci-bot"]
    assert len(budgets.list()) == 1


def test_a_key_that_got_the_name_of_a_purged_one_has_not_got_its_budget(
    database: Database, clock: FrozenClock, budgets: Budgets, keys: Keys
) -> None:
    keys.create("ci-bot")
    budgets.set(CI_BOT, MONTHLY)
    with database.change() as tx:
        delete(tx, clock, existing_key(tx, "ci-bot"), purge=True)
    with pytest.raises(NotFound):
        budgets.list(CI_BOT)
    keys.create("CI-bot")
    assert budgets.list(CI_BOT) == []


def test_what_is_held_is_what_live_workers_told_last(database: Database, clock: FrozenClock, budgets: Budgets) -> None:
    number = budgets.set(ACME, MONTHLY).budget.id
    assert budgets.show(ACME).held_pico is None
    workers = Workers(database, clock)
    one, two = (workers.register("127.0.0.1:1", "127.0.0.1:2", "1") for _ in range(2))
    workers.beat(one, {"held": {"budgets": {number: 3 * USD, 999: 1}}})
    workers.beat(two, {"held": {"budgets": {number: 4 * USD}}})
    found = budgets.show(ACME)
    assert (found.held_pico, found.remaining_pico) == (7 * USD, 3 * USD)
    clock.advance(seconds=6)
    assert budgets.show(ACME).held_pico is None


def test_what_cannot_be_a_budget_is_refused_before_anything_is_written(database: Database, budgets: Budgets) -> None:
    for terms in (
        Terms(0, Period.DAY),
        Terms(5_000_000 * USD, Period.DAY),
        Terms(USD, Period.DAY, "a b"),
        Terms(USD, Period.DAY, env="prod"),
        Terms(USD, Period.DAY, zone="Mars/Olympus"),
        Terms(USD, Period.DAY, thresholds=(0, 80)),
        Terms(USD, Period.DAY, thresholds=(80, 1_001)),
    ):
        with pytest.raises(UsageError):
            budgets.set(ACME, terms)
        with pytest.raises(UsageError):
            budgets.of_new_key(terms)
    assert budgets.list() == []
