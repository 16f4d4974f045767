"""A ledger of two customers, in which months are closed and prices corrected."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from keyvault.clock import to_ms
from keyvault.domain.routes import Target
from keyvault.domain.scopes import parse_scope
from keyvault.keys.customers import Customers
from keyvault.metering.balances import Balances
from keyvault.metering.ledger import Ledger
from keyvault.metering.remembered import Remembered
from keyvault.metering.spending import Spending
from keyvault.metering.statements import Statements
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.schema import keys
from tests.conftest import FrozenClock
from tests.ledgers import attempt, settlement

DOLLAR = 10**12
CENT = 10**10
ACME, OTHER = parse_scope("customer:acme"), parse_scope("customer:other")
WEB, OTHERS = 1, 2
SEARCH, DRILL, THEIRS = 1, 2, 3
KEY = b"k" * 32
OCTOBER, LATE_OCTOBER = datetime(2026, 10, 10, tzinfo=UTC), datetime(2026, 10, 31, 22, 45, tzinfo=UTC)
NOVEMBER = datetime(2026, 11, 2, tzinfo=UTC)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(to_ms(datetime(2026, 9, 20, tzinfo=UTC)))


@pytest.fixture
def people(database: Database, clock: FrozenClock) -> None:
    """acme/web has the keys search and drill (for tests), other/app the key theirs."""
    service = Customers(database, clock)
    service.create("acme")
    service.create_project("acme/web")
    service.create("other")
    service.create_project("other/app")
    key = {"state": "active", "policy": "{}", "created_ms": 0, "epoch": 0}
    with database.write() as tx:
        for number, name, env, project in ((1, "search", "live", 1), (2, "drill", "test", 1), (3, "theirs", "live", 2)):
            own = {"id": number, "public_id": name, "name": name, "folded": name, "env": env, "project_id": project}
            tx.execute(sa.insert(keys).values({**own, **key}))


class Books:
    """Writes attempts into a ledger, one line each."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.count = 0

    async def open(self, at: datetime, key: int = SEARCH, target: str = "openai/gpt-5", **fields: Any) -> Any:
        self.count += 1
        ids = {"alias_id": self.ledger.alias_id("fast"), "target_id": self.ledger.target_id(Target(*target.split("/")))}
        one = attempt(to_ms(at), entropy=self.count, key_id=key, **ids, **fields)
        await self.ledger.open(one)
        return one

    async def add(self, at: datetime, charge: int | None, key: int = SEARCH, **told: Any) -> None:
        of = {name: told.pop(name) for name in ("target", "balance_id", "project_id") if name in told}
        one = await self.open(at, key, **of)
        await self.ledger.settle(settlement(one, charge_pico=charge, cost_pico=charge, **told))


@pytest_asyncio.fixture
async def books(database: Database, clock: FrozenClock, people: None) -> AsyncIterator[Books]:
    ledger = Ledger(database, clock, "w1", spending=Spending(KEY))
    ledger.start(asyncio.get_running_loop())
    yield Books(ledger)
    await asyncio.to_thread(ledger.stop)


@pytest.fixture
def service(database: Database, clock: FrozenClock) -> Statements:
    return Statements(database, clock, lambda: None)


@pytest.fixture
def balances(database: Database, clock: FrozenClock, tmp_path: Path) -> Balances:
    return Balances(database, clock, lambda: Spending(KEY), Remembered(tmp_path / "spending.json"))


class Meddled(Database):
    """The same database; right before the first change something else is done."""

    def __init__(self, database: Database, meddle: Callable[[], object]) -> None:
        super().__init__(database.url)
        self.meddle: Callable[[], object] | None = meddle

    @contextlib.contextmanager
    def change(self) -> Iterator[Transaction]:
        meddle, self.meddle = self.meddle, None
        if meddle is not None:
            meddle()
        with super().change() as tx:
            yield tx


class Counted(Database):
    """The same database, which counts its changes."""

    def __init__(self, database: Database) -> None:
        super().__init__(database.url)
        self.changes = 0

    @contextlib.contextmanager
    def change(self) -> Iterator[Transaction]:
        self.changes += 1
        with super().change() as tx:
            yield tx


@contextlib.contextmanager
def meddled(database: Database, meddle: Callable[[], object]) -> Iterator[Database]:
    found = Meddled(database, meddle)
    yield found
    found.close()
