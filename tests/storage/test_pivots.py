"""Usage turned about for a console: the same figures as a report's, in any zone, and only what is new is read again."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from keyvault.clock import to_ms
from keyvault.domain.ledger import Basis
from keyvault.domain.pivot import PivotAsked, Stretch, projected
from keyvault.domain.routes import Target
from keyvault.errors import UsageError
from keyvault.metering.ledger import Ledger
from keyvault.metering.reports import Reports
from keyvault.storage.engine import Database
from keyvault.storage.schema import customers, keys, projects
from tests.conftest import FrozenClock
from tests.ledgers import attempt, settlement

NOW = datetime(2026, 10, 28, 9, 20, tzinfo=UTC)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu")
"""Berlin's clocks go back on the 25th, within every stretch of days."""
MODELS = ("gpt-5", "llama")


@pytest.fixture
def reports(database: Database, clock: FrozenClock) -> Reports:
    """Two customers with two keys each, the last one for tests; a request of each some thirty times in two months."""
    clock.ms = to_ms(NOW)
    with database.write() as tx:
        for number, name in ((1, "acme"), (2, "globex")):
            owner = {"id": number, "name": name, "folded": name, "tags": "{}", "created_ms": 0}
            tx.execute(sa.insert(customers).values(**owner))
            tx.execute(sa.insert(projects).values(**{**owner, "name": "web", "folded": "web"}, customer_id=number))
        for number in range(1, 5):
            key = {"public_id": f"p{number}", "name": f"key-{number}", "folded": f"key-{number}", "policy": "{}"}
            more = {"state": "active", "tags": "{}", "created_ms": 0, "epoch": 0, "project_id": 1 + number % 2}
            tx.execute(sa.insert(keys).values(id=number, env="test" if number == 4 else "live", **key, **more))
    asyncio.run(_book(database, clock, [to_ms(NOW) - at * 47 * 3_600_000 for at in range(30)]))
    asyncio.run(_book(database, clock, [to_ms(NOW) - at * 3_300_000 for at in range(1, 30)], 500))
    return Reports(database, clock)


async def _book(database: Database, clock: FrozenClock, times: list[int], entropy: int = 0) -> None:
    ledger = Ledger(database, clock, "w1")
    ledger.start(asyncio.get_running_loop())
    futures: list[Any] = []
    for at, ms in enumerate(times):
        for key in range(1, 5):
            target = ledger.target_id(Target("openai", MODELS[(at + key) % 2]))
            of = attempt(
                ms, entropy=entropy + at * 4 + key, key_id=key, alias_id=ledger.alias_id("fast"), target_id=target
            )
            unknown = (
                {"cost_pico": None, "charge_pico": None, "basis": Basis.UNKNOWN} if at % 5 == 0 and key == 2 else {}
            )
            futures += [ledger.open(of), ledger.settle(settlement(of, **{"cost_pico": 1_000 + ms % 977, **unknown}))]
    await asyncio.gather(*futures)
    await asyncio.to_thread(ledger.stop)


@pytest.mark.parametrize("stretch", Stretch)
def test_it_says_what_a_report_says_in_every_zone(reports: Reports, stretch: Stretch) -> None:
    for zone in ZONES:
        pivots = reports.pivots(zone)
        for by in ("key", "day"):
            pivot = pivots.read(PivotAsked(by, stretch))
            report = reports.usage(pivot.since, pivot.until, (by,), zone)
            assert {row.name: row.totals for row in pivot.rows} == {row.group[0]: row.totals for row in report.rows}
            assert pivot.total == report.total
            assert sum(share.requests for share in pivot.models) == pivot.total.requests
            assert [step.requests for step in pivot.steps] == [
                sum(row.requests[at] for row in pivot.rows) for at in range(len(pivot.steps))
            ]


def test_a_day_of_the_zone_is_its_hours(reports: Reports) -> None:
    pivot = reports.pivots("Europe/Berlin").read(PivotAsked("key", day="2026-10-25"))
    assert len(pivot.steps) == 25, "the day on which clocks go back"
    assert pivot.total == reports.usage(pivot.since, pivot.until, tz="Europe/Berlin").total


def test_it_is_narrowed_by_what_one_came_through(reports: Reports) -> None:
    asked = PivotAsked("model", Stretch.DAYS, only=(("customer", "ACME"), ("key", "key-2")))
    pivot = reports.pivots("UTC").read(asked)
    report = reports.usage(pivot.since, pivot.until, ("model",), filters={"customer": "acme", "key": "key-2"})
    assert {row.name: row.totals for row in pivot.rows} == {row.group[0]: row.totals for row in report.rows}
    assert pivot.customers[0].name == "acme"


def test_keys_for_tests_count_only_when_asked_for(reports: Reports) -> None:
    pivots = reports.pivots("UTC")
    without = pivots.read(PivotAsked("key", Stretch.DAYS))
    with_tests = pivots.read(PivotAsked("key", Stretch.DAYS, tests=True))
    assert [row.name for row in with_tests.rows if row.name not in {row.name for row in without.rows}] == ["key-4"]
    assert without.left_out == with_tests.total.requests - without.total.requests > 0


def test_nothing_is_read_again_while_the_ledger_stands_still(
    database: Database, clock: FrozenClock, reports: Reports
) -> None:
    asked: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    pivots = reports.pivots("Europe/Berlin")
    first = pivots.read(PivotAsked("customer", Stretch.DAYS))
    event.listen(database.engine, "before_cursor_execute", note)
    assert pivots.read(PivotAsked("customer", Stretch.DAYS)) is first
    assert not [statement for statement in asked if "totals" in statement]
    event.remove(database.engine, "before_cursor_execute", note)
    asyncio.run(_book(database, clock, [clock.now_ms()], 900))
    event.listen(database.engine, "before_cursor_execute", note)
    again = pivots.read(PivotAsked("customer", Stretch.DAYS))
    event.remove(database.engine, "before_cursor_execute", note)
    assert again.total.requests == first.total.requests + 3
    assert len([statement for statement in asked if "totals" in statement]) < 10, "only the newest steps"


def test_a_dimension_it_does_not_have_is_refused(reports: Reports) -> None:
    with pytest.raises(UsageError, match="no rows by 'tag'"):
        reports.pivots("UTC").read(PivotAsked("tag"))
    with pytest.raises(UsageError, match="not a day"):
        reports.pivots("UTC").read(PivotAsked("key", day="yesterday"))


def test_the_end_of_a_period_is_foretold_only_while_it_runs() -> None:
    start, end = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 10, 11, tzinfo=UTC)
    assert projected(100, start, end, datetime(2026, 10, 6, tzinfo=UTC)) == 200
    assert projected(100, start, end, end) is None
    assert projected(100, start, None, NOW) is None
    assert projected(100, start, end, start.replace(hour=1)) is None, "too little has passed"
