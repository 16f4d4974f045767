"""A small ledger whose figures are known by heart, for tests of what finance reads.

acme pays for web (key search) and ops (key nightly); a customer with a hostile name for a project of the same kind. In
September 2026 in Berlin: two requests of acme/web at gpt-5, one of acme/ops at claude whose cost nobody knows, one of
the other customer that failed. One of acme/web each in the hour before the month and in its last one, by UTC, which in
Berlin are September's first and October's first.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from keyvault.clock import to_ms
from keyvault.domain.ledger import NO_USAGE, Basis, Outcome, Usage
from keyvault.domain.routes import Target
from keyvault.home import Home
from keyvault.metering.ledger import Ledger
from keyvault.storage.schema import customers, keys, projects
from tests.ledgers import attempt, settlement

HOSTILE = '=cmd|<b>"x"</b>'
GOLDEN = Path(__file__).parent / "cli" / "golden"
DOLLAR = 10**12


def golden(name: str, text: str) -> None:
    """Compare with the file of that name; one that is not there is written, and has to be looked at."""
    path = GOLDEN / name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode())
        raise AssertionError(f"{path} was written: look at it, then run again")
    assert text == path.read_bytes().decode()


def at(day: int, hour: int = 12, minute: int = 0, *, month: int = 9) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


def fill(home: Home) -> None:
    """Write the ledger described above into a home."""
    _people(home)
    asyncio.run(_traffic(home))


def _people(home: Home) -> None:
    made = {"created_ms": 0}
    key = {"env": "live", "state": "active", "policy": "{}", "tags": "{}", "created_ms": 0, "epoch": 0}
    with home.database.write() as tx:
        for number, name in ((71, "acme"), (72, HOSTILE)):
            tx.execute(sa.insert(customers).values(id=number, name=name, folded=name, tags="{}", **made))
        for number, owner, name in ((81, 71, "web"), (82, 71, "ops"), (83, 72, "p")):
            tx.execute(
                sa.insert(projects).values(id=number, customer_id=owner, name=name, folded=name, tags="{}", **made)
            )
        for number, owner, name in ((91, 81, "search"), (92, 82, "nightly"), (93, 83, "odd")):
            values = {"public_id": name, "name": name, "folded": name, "project_id": owner}
            tx.execute(sa.insert(keys).values(id=number, **values, **key))


async def _traffic(home: Home) -> None:
    ledger = Ledger(home.database, home.clock, "w1")
    ledger.start(asyncio.get_running_loop())
    count = 0

    async def book(moment: datetime, key: int, target: str, **fields: Any) -> None:
        nonlocal count
        count += 1
        ids = {"alias_id": ledger.alias_id("fast"), "target_id": ledger.target_id(Target(*target.split("/")))}
        one = attempt(to_ms(moment), entropy=count, key_id=key, **ids)
        await ledger.open(one)
        await ledger.settle(settlement(one, **fields))

    usage = Usage(input=1000, cached_input=400, output=200, reasoning=50)
    served = {"usage": usage, "cost_pico": 2 * DOLLAR, "charge_pico": 3 * DOLLAR}
    await book(at(31, 22, 30, month=8), 91, "openai/gpt-5", **served)
    await book(at(2), 91, "openai/gpt-5", **served)
    await book(at(3), 91, "openai/gpt-5", **{**served, "cost_pico": 1_234_567, "basis": Basis.ESTIMATE})
    unknown = {"cost_pico": None, "charge_pico": None, "basis": Basis.UNKNOWN, "usage": NO_USAGE}
    await book(at(3), 92, "anthropic/claude", **unknown)
    failed = {"outcome": Outcome.FAILED, "status": 500, "cost_pico": 0, "charge_pico": 0}
    await book(at(20), 93, "openai/gpt-5", **failed, usage=Usage(input=0, output=0), error_code="server_error")
    await book(at(30, 22, 30), 91, "openai/gpt-5", **served)
    await asyncio.to_thread(ledger.stop)
