"""`python -m tests.tui.measure_keys`: what the Keys view costs with ten thousand keys. Prints, never gates.

Every key has a month of traffic in the totals and every other one a budget; a tenth of them is in use at the moment.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from datetime import UTC
from pathlib import Path

import sqlalchemy as sa

from keyvault.clock import Clock
from keyvault.domain.budgets import Budget, Period
from keyvault.domain.keys import GenerationState, Policy
from keyvault.domain.scopes import ScopeKind, ScopeRef
from keyvault.home import Home
from keyvault.keys import token
from keyvault.storage import budgets, epochs
from keyvault.storage import keys as rows
from keyvault.storage.callers import Use, record_uses
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import ledger_changes, totals_day, totals_quarter
from opsconsole.readers.around import Surroundings
from opsconsole.readers.keys import KeysReader
from opsconsole.tui.widgets.view_table import ViewTable
from opsconsole.view.feed import Feed
from opsconsole.view.filters import Filter
from opsconsole.view.keys.rows import BY_NAME, table
from opsconsole.view.keys.snapshot import KeysBy, KeysQuestion
from opsconsole.view.table import Sort
from tests.tui.driving import press, running
from tests.tui.measure import measured
from tests.tui.operating import a_home

KEYS = 10_000
DAYS = 30
IN_USE = KEYS // 10


def fill(home: Home) -> None:
    clock = home.clock
    project = home.customers.get_project("default/default")
    now_ms = clock.now_ms()
    day, quarter = now_ms // 86_400_000, now_ms // 900_000
    with home.database.change() as tx:
        epoch = epochs.bump(tx, "keys")
        ids = [_key(tx, clock, project.id, epoch, n) for n in range(KEYS)]
        spent = {"requests": 12, "attempts": 12, "charge_pico": 7 * 10**9, "alias_id": 1, "target_id": 1}
        days = [{"bucket": day - back, "key_id": i, **spent} for back in range(DAYS) for i in ids]
        quarters = [{"bucket": quarter - back, "key_id": i, **spent} for back in range(60) for i in ids[: IN_USE * 2]]
        tx.execute(sa.insert(totals_day), days)
        tx.execute(sa.insert(totals_quarter), quarters)
        tx.execute(sa.insert(ledger_changes), [{"worker": "w", "changes": 1}])
        epochs.bump(tx, "money")


def _key(tx: Transaction, clock: Clock, project_id: int, epoch: int, number: int) -> int:
    public_id = token.public_id(clock.random_bytes(token.PUBLIC_ID_BYTES))
    name = f"key-{number:05}"
    key_id = rows.insert(
        tx, public_id=public_id, name=name, project_id=project_id, env="live", policy=Policy(), tags={},
        created_ms=clock.now_ms(), expires_ms=None, epoch=epoch,
    )  # fmt: skip
    mac = number.to_bytes(32, "big")
    rows.insert_generation(
        tx, key_id, rows.NewGeneration(1, mac, 1, f"sk-gw_live_{public_id}", GenerationState.ACTIVE, clock.now_ms())
    )
    if number % 2:
        ref = ScopeRef(ScopeKind.KEY, key_id, name)
        budgets.insert(tx, Budget(0, ref, "", "live", Period.MONTH, "UTC", 10**13, True, (80, 100), clock.now()))
    return key_id


def traffic(home: Home, ids: list[int], step: int) -> None:
    """A second of a busy gateway: a tenth of the keys was used."""
    now_ms = home.clock.now_ms()
    quarter = now_ms // 900_000
    with home.database.write() as tx:
        mine = totals_quarter.c.key_id.in_(ids[step % 7 : IN_USE : 7]) & (totals_quarter.c.bucket == quarter)
        tx.execute(sa.update(totals_quarter).where(mine).values(requests=totals_quarter.c.requests + 1))
        tx.execute(sa.update(ledger_changes).values(changes=ledger_changes.c.changes + 1))
        record_uses(tx, [Use(i, 1, now_ms, "openai-python", "10.0.0.1") for i in ids[step % 7 : IN_USE : 7]])


async def measure_view(snapshots: list[object]) -> None:
    async with running(size=(160, 48)) as (console, pilot):
        await press(pilot, "2")
        view = console.view
        at = iter(range(10**6))
        measured("  view handed over and drawn, all read anew", lambda _: view.show(
            Feed(snapshots[next(at) % len(snapshots)], console.feed.read_at)))  # fmt: skip
        shown = view.query_one(ViewTable)
        measured("  table lines drawn", lambda _: [shown.render_line(y) for y in range(shown.size.height)])


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, a_home(Path(directory)) as home:
        fill(home)
        reader = KeysReader(home, Surroundings(home), "UTC")
        began = time.perf_counter()
        snapshot = reader.read(KeysQuestion())
        print(f"first reading of {KEYS:,} keys, {KEYS // 2:,} budgets: {(time.perf_counter() - began) * 1000:.0f} ms")
        ids = sorted(row.key.id for row in snapshot.rows)  # type: ignore[attr-defined]
        measured("reading, nothing has changed", lambda _: reader.read(KeysQuestion()))
        costs, snapshots = [], []
        for step in range(20):
            traffic(home, ids, step)
            began = time.process_time()
            snapshots.append(reader.read(KeysQuestion()))
            costs.append((time.process_time() - began) * 1000)
        print(f"reading, 143 keys were used: {sorted(costs)[0]:.1f} best {sorted(costs)[10]:.1f} median")
        measured("reading by project", lambda _: reader.read(KeysQuestion(KeysBy.PROJECT)))
        measured("table by name", lambda _: table(snapshot, BY_NAME, zone=UTC))
        measured("table by spent", lambda _: table(snapshot, Sort("spent"), zone=UTC))
        measured("table, filtered", lambda _: table(snapshot, BY_NAME, Filter("key-00 active"), zone=UTC))
        asyncio.run(measure_view(snapshots))


if __name__ == "__main__":
    main()
