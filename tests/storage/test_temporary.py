"""Keys and projects that were made for a while: what a killed drill leaves behind is removed, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from keyvault.domain.keys import DEFAULT_PROJECT
from keyvault.domain.scopes import Scope, ScopeKind
from keyvault.errors import Conflict
from keyvault.keys.customers import Customers
from keyvault.keys.lifecycle import Keys
from keyvault.keys.temporary import LONGEST, Temporary, temporary_name
from keyvault.metering.balances import Balances
from keyvault.metering.remembered import Remembered
from keyvault.metering.spending import Spending
from keyvault.storage.engine import Database
from tests.conftest import FrozenClock
from tests.pepper import FixedPepper

MINUTE = timedelta(minutes=1)


@pytest.fixture
def customers(database: Database, clock: FrozenClock) -> Customers:
    customers = Customers(database, clock)
    customers.ensure_default()
    return customers


@pytest.fixture
def keys(database: Database, clock: FrozenClock, customers: Customers) -> Keys:
    return Keys(database, FixedPepper(), clock)


@pytest.fixture
def temporary(database: Database, clock: FrozenClock) -> Temporary:
    return Temporary(database, clock)


def names(keys: Keys) -> list[str]:
    return [key.name for key in keys.list()]


def test_a_key_goes_when_it_has_expired(keys: Keys, temporary: Temporary, clock: FrozenClock) -> None:
    name = temporary_name("drill", clock)
    keys.create(name, expires_at=clock.now() + MINUTE)
    keys.create(f"{name}-of-mine", expires_at=clock.now() + MINUTE)
    keys.create("drill", expires_at=clock.now() + MINUTE)
    keys.create(temporary_name("replay", clock))
    assert temporary.sweep() == 0
    clock.advance(seconds=61)
    assert temporary.sweep() == 1
    assert name not in names(keys)
    assert len(names(keys)) == 3, "nobody's key goes because of how it is called, or because it has expired"


def test_a_project_goes_with_what_is_left_of_its_money_once_its_keys_are_gone(
    customers: Customers, keys: Keys, temporary: Temporary, database: Database, clock: FrozenClock, tmp_path: Path
) -> None:
    balances = Balances(database, clock, lambda: Spending(bytes(32)), Remembered(tmp_path / "marks"))
    path = customers.create_project(f"default/{temporary_name('drill', clock)}").path
    balances.top_up(Scope(ScopeKind.PROJECT, path), 5, "a drill", env="test")
    keys.create(temporary_name("drill", clock), project=path, expires_at=clock.now() + LONGEST + MINUTE)
    clock.advance(seconds=LONGEST.total_seconds() + 1)
    assert temporary.sweep() == 0
    with pytest.raises(Conflict, match="1 key"):
        temporary.remove_project(path)
    clock.advance(seconds=60)
    assert temporary.sweep() == 2
    assert [each.path for each in customers.list_projects()] == [DEFAULT_PROJECT]
    assert temporary.sweep() == 0
