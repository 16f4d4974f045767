"""`python -m tests.benchmarks.renewal`: how long requests stand still when a rule about money changes.

Another process tops a balance up, and then sets a budget, among 2,000 balances and 2,000 budgets. Meanwhile a task on
the loop of the worker's tables sleeps for a millisecond, again and again: the most that it wakes too late is how long
the loop stood still. Of several changes the quietest counts, since other processes make it late, too. Aim: 10 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from keyvault.domain.balances import EntryKind
from keyvault.domain.budgets import Budget, Period
from keyvault.domain.scopes import ScopeKind, ScopeRef
from keyvault.home import Home
from keyvault.metering import booking
from keyvault.money import PICO_PER_USD
from keyvault.proxy.tables import Tables
from keyvault.storage import budgets, customers
from tests.proxy.harness import new_home

LOOK_SECONDS: Final = 0.02
SETTLED_SECONDS: Final = 0.5
TOP_UP: Final = (
    "home.balances.top_up(parse_scope('customer:c{0}'), 10**12, 'one more')",
    "home.budgets.set(parse_scope('customer:c{0}'), Terms(10**12, Period.DAY))",
)
BEGIN: Final = """
import os
from keyvault.clock import Clock
from keyvault.domain.budgets import Period
from keyvault.domain.scopes import parse_scope
from keyvault.home import Home
from keyvault.metering.budgets import Terms
home = Home(os.environ, Clock())
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=2_000, help="each with a balance and a budget")
    parser.add_argument("--changes", type=int, default=5, help="of each kind")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        home = new_home(Path(root) / "home")
        fill(home, options.customers)
        asyncio.run(measure(home, options.changes))
        home.close()


def fill(home: Home, count: int) -> None:
    """Customers with a balance and a budget each, in one transaction."""
    with home.database.change() as tx:
        at, now_ms = home.clock.now(), home.clock.now_ms()
        for n in range(count):
            customer = customers.insert_customer(tx, f"c{n}", multiplier_ppm=1_000_000, tags={}, created_ms=now_ms)
            scope = ScopeRef(ScopeKind.CUSTOMER, customer, f"c{n}")
            balance = booking.opened(tx, scope, "live", at, home.spending)
            booking.append(tx, balance, EntryKind.TOP_UP, 10 * PICO_PER_USD, "invoice", at=at, actor="benchmark")
            monthly = Budget(0, scope, "", "live", Period.MONTH, "UTC", 10 * PICO_PER_USD, True, (80, 100), at)
            budgets.insert(tx, monthly)


async def measure(home: Home, changes: int) -> None:
    began = time.perf_counter()
    tables = Tables(home)
    print(f"read {len(list(tables.accounts.every)):,} accounts        {(time.perf_counter() - began) * 1e3:8.1f} ms")
    for name, change in zip(("a top-up", "a new budget"), TOP_UP, strict=True):
        stalls = [await stall(home, tables, change.format(n)) for n in range(changes)]
        print(f"longest stall by {name:<14} {min(stalls) * 1e3:8.1f} ms    (of all: {max(stalls) * 1e3:.1f} ms)")
    tables.close()


async def stall(home: Home, tables: Tables, change: str) -> float:
    """Seconds that the loop stood still at most while another process made a change and the tables took it over."""
    seen = tables.seen
    async with late() as most:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", BEGIN + change, env=home.environ)
        while tables.seen == seen:
            await asyncio.sleep(LOOK_SECONDS)
            tables.look()
        await asyncio.sleep(SETTLED_SECONDS)
        assert not await process.wait()
    return most[0]


@contextlib.asynccontextmanager
async def late() -> AsyncIterator[list[float]]:
    """The most that a task wakes too late, in seconds."""
    most = [0.0]

    async def watch() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            most[0] = max(most[0], time.perf_counter() - began - 0.001)

    watching = asyncio.create_task(watch())
    yield most
    watching.cancel()


if __name__ == "__main__":
    main()
