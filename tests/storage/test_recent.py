"""The newest requests as a console follows them, and older ones page by page, on both databases."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from keyvault.clock import from_ms, to_ms
from keyvault.domain.ledger import Outcome
from keyvault.domain.narrowing import EVERY_REQUEST, Narrowing
from keyvault.domain.routes import Target
from keyvault.metering.ledger import Ledger
from keyvault.metering.recent import Recent
from keyvault.storage.engine import Database
from keyvault.storage.schema import customers, keys, projects
from tests.conftest import FrozenClock
from tests.ledgers import attempt, settlement

MINUTE = 60_000
TARGETS = (Target("openai", "gpt-5"), Target("groq", "llama"))


@pytest.fixture
def recent(database: Database, clock: FrozenClock) -> Recent:
    """Of a ledger with two customers, acme and globex, who have a project web and a key each."""
    with database.write() as tx:
        for number, name in ((1, "acme"), (2, "globex")):
            owner = {"id": number, "name": name, "folded": name, "tags": "{}", "created_ms": 0}
            tx.execute(sa.insert(customers).values(**owner))
            tx.execute(sa.insert(projects).values(**{**owner, "name": "web", "folded": "web"}, customer_id=number))
            key = {"public_id": f"p{number}", "name": f"key-{number}", "folded": f"key-{number}"}
            more = {"env": "live", "state": "active", "policy": "{}", "tags": "{}", "created_ms": 0, "epoch": 0}
            tx.execute(sa.insert(keys).values(id=number, project_id=number, **key, **more))
    return Recent(database, clock)


def book(database: Database, clock: FrozenClock, requests: list[tuple[int, dict[str, Any], dict[str, Any]]]) -> None:
    """Requests that began at a time, by what is told of attempt and settlement."""

    async def run() -> None:
        ledger = Ledger(database, clock, "w1")
        ledger.start(asyncio.get_running_loop())
        for count, (ms, of, ended) in enumerate(requests):
            target = of.pop("target", TARGETS[0])
            ids = {"alias_id": ledger.alias_id("fast"), "target_id": ledger.target_id(target)}
            one = attempt(ms, entropy=count, **{**ids, **of})
            await ledger.open(one)
            await ledger.settle(settlement(one, **ended))
        await asyncio.to_thread(ledger.stop)

    asyncio.run(run())


def ids(lines: Any) -> list[str]:
    return [line.request_id for line in lines]


def test_the_newest_stand_first_by_when_they_ended(database: Database, clock: FrozenClock, recent: Recent) -> None:
    now = clock.now_ms()
    book(database, clock, [(now - 9_000, {}, {"total_ms": 8_000}), (now - 5_000, {}, {"total_ms": 100})])
    slow, quick = recent.read(EVERY_REQUEST, 10).lines
    assert (slow.total_ms, quick.total_ms) == (8_000, 100)
    assert slow.ended_at == from_ms(now - 1_000)


def test_a_reading_takes_in_what_has_ended_since(database: Database, clock: FrozenClock, recent: Recent) -> None:
    assert recent.read(EVERY_REQUEST, 10).lines == ()
    clock.advance(seconds=1)
    book(database, clock, [(clock.now_ms() - 500, {}, {})])
    assert len(recent.read(EVERY_REQUEST, 10).lines) == 1
    assert len(recent.read(EVERY_REQUEST, 10).lines) == 1


async def test_an_answer_that_streamed_for_an_hour_shows_when_it_ends(
    database: Database, clock: FrozenClock, recent: Recent
) -> None:
    began = clock.now_ms() - 60 * MINUTE
    ledger = Ledger(database, clock, "w1")
    ledger.start(asyncio.get_running_loop())
    one = attempt(began, alias_id=ledger.alias_id("fast"), target_id=ledger.target_id(TARGETS[0]))
    await ledger.open(one)
    assert recent.read(EVERY_REQUEST, 10).lines == ()
    clock.advance(seconds=1)
    await ledger.settle(settlement(one, total_ms=60 * MINUTE))
    [line] = recent.read(EVERY_REQUEST, 10).lines
    assert line.ended_at == from_ms(began + 60 * MINUTE)
    await asyncio.to_thread(ledger.stop)


@pytest.mark.parametrize(
    ("narrowing", "expected"),
    [
        (Narrowing(key="KEY-1"), {0, 2}),
        (Narrowing(customer="globex"), {1, 3, 4}),
        (Narrowing(project="acme/web"), {0, 2}),
        (Narrowing(model="llama"), {2}),
        (Narrowing(target="groq/llama", key="key-2"), set()),
        (Narrowing(failed=True), {3}),
        (Narrowing(key="nobody"), set()),
    ],
    ids=lambda value: str(getattr(value, "names", "")),
)
def test_it_can_be_narrowed(
    database: Database, clock: FrozenClock, recent: Recent, narrowing: Narrowing, expected: set[int]
) -> None:
    now = clock.now_ms()
    failed = {"outcome": Outcome.FAILED, "status": 500, "error_code": "server_error"}
    told: list[tuple[int, dict[str, Any], dict[str, Any]]] = [
        (now - 300 * MINUTE, {"key_id": 1}, {}),
        (now - 200 * MINUTE, {"key_id": 2}, {}),
        (now - 100 * MINUTE, {"key_id": 1, "target": TARGETS[1]}, {}),
        (now - 50 * MINUTE, {"key_id": 2}, failed),
        (now - 10 * MINUTE, {"key_id": 1, "project_id": 2}, {}),
    ]
    if narrowing.key.casefold() == "key-1":
        expected = expected | {4}  # whoever pays for it
    began = {from_ms(ms): at for at, (ms, _, _) in enumerate(told)}
    book(database, clock, told)
    assert {began[line.at] for line in recent.page(narrowing, None, 10).lines} == expected
    assert {began[line.at] for line in recent.read(narrowing, 10).lines} == expected


@pytest.mark.parametrize("narrowing", [EVERY_REQUEST, Narrowing(key="key-2")], ids=["all", "one key"])
def test_pages_go_back_to_the_first_request_without_a_gap(
    database: Database, clock: FrozenClock, recent: Recent, narrowing: Narrowing
) -> None:
    now = clock.now_ms()
    book(database, clock, [(now - at * 400 * MINUTE, {"key_id": 2}, {}) for at in range(1, 12)])
    before, seen = None, []
    while True:
        page = recent.page(narrowing, before, 4)
        seen += ids(page.lines)
        before = page.reached
        if before is None:
            break
    assert len(seen) == len(set(seen)) == 11
    assert seen == sorted(seen, reverse=True)


def test_a_stretch_of_time_bounds_both(database: Database, clock: FrozenClock, recent: Recent) -> None:
    now = clock.now()
    book(database, clock, [(to_ms(now) - at * 60 * MINUTE, {}, {}) for at in range(1, 6)])
    within = Narrowing(
        key="key-1", since=now - timedelta(hours=4, minutes=30), until=now - timedelta(hours=1, minutes=30)
    )
    assert [line.at for line in recent.page(within, None, 10).lines] == [now - timedelta(hours=at) for at in (2, 3, 4)]


@pytest.mark.usefixtures("recent")
def test_it_remembers_no_more_than_it_is_told(database: Database, clock: FrozenClock) -> None:
    now = clock.now_ms()
    book(database, clock, [(now - at * 100, {}, {}) for at in range(1, 9)])
    small = Recent(database, clock, most=3)
    page = small.read(EVERY_REQUEST, 2)
    assert len(page.lines) == 3
    older = small.page(EVERY_REQUEST, page.reached, 10)
    assert len({*ids(page.lines), *ids(older.lines)}) == 8, "what it forgot is on the next page"


@pytest.mark.usefixtures("recent")
def test_of_more_than_one_reading_takes_in_the_last_to_end_are_shown_without_a_gap(
    database: Database, clock: FrozenClock
) -> None:
    some = Recent(database, clock, at_once=3)
    book(database, clock, [(clock.now_ms() - 100, {}, {"total_ms": 50})])
    assert len(some.read(EVERY_REQUEST, 10).lines) == 1
    clock.advance(seconds=1)
    ended = [(clock.now_ms() - at * 100, {}, {"total_ms": 50}) for at in range(1, 8)]
    book(database, clock, ended)
    page = some.read(EVERY_REQUEST, 10)
    assert [line.at for line in page.lines] == [from_ms(ms) for ms, _, _ in ended[:3]]
    assert some.read(EVERY_REQUEST, 10) == page, "what was passed over stays so"
    rest = some.page(EVERY_REQUEST, page.reached, 10).lines
    assert len({*ids(page.lines), *ids(rest)}) == 8, "and is on the next page"


def test_every_look_at_the_ledger_goes_by_its_primary_key(
    database: Database, clock: FrozenClock, recent: Recent
) -> None:
    book(database, clock, [(clock.now_ms() - at * MINUTE, {}, {}) for at in range(1, 4)])
    asked: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "FROM attempts" in statement or "FROM totals" in statement:
            asked.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    recent.read(Narrowing(key="key-1", target="openai/gpt-5"), 10)
    recent.read(EVERY_REQUEST, 10)
    event.remove(database.engine, "before_cursor_execute", note)
    assert len(asked) >= 5
    with database.read() as tx:
        if not database.is_sqlite:
            tx.exec_driver_sql("SET enable_seqscan = off")
        for statement, parameters in asked:
            explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
            plan = " ".join(str(row) for row in tx.exec_driver_sql(explain + statement, parameters))
            assert by_primary_key(plan, statement), f"{statement}\n{plan}"


def by_primary_key(plan: str, statement: str) -> bool:
    """Looked up in it, or read in its order up to a limit."""
    if "pk_attempts" in plan or "pk_totals" in plan or "SEARCH" in plan:
        return True
    return "SCAN attempts" in plan and "LIMIT" in statement and "TEMP B-TREE" not in plan
