"""The ledger: durable before the future is done, settled once, totals that always say what the rows say."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from msgspec.structs import replace

from keyvault.domain.ledger import NO_USAGE, Basis, Outcome, Usage
from keyvault.domain.routes import Target
from keyvault.errors import GatewayError, Unavailable
from keyvault.metering.interning import MAX_NAMES, Interned, name_id
from keyvault.metering.ledger import Ledger
from keyvault.storage.engine import Database
from keyvault.storage.schema import aliases, attempts, ledger_changes, targets, totals_minute, totals_quarter, workers
from tests.conftest import FrozenClock
from tests.ledgers import (
    assert_totals_say_what_the_rows_say,
    attempt,
    book,
    open_rows,
    rows,
    settlement,
    totals,
)


@contextlib.asynccontextmanager
async def running(database: Database, clock: FrozenClock, worker: str = "w1") -> AsyncIterator[Ledger]:
    ledger = Ledger(database, clock, worker)
    ledger.start(asyncio.get_running_loop())
    try:
        yield ledger
    finally:
        await asyncio.to_thread(ledger.stop)


@pytest_asyncio.fixture
async def ledger(database: Database, clock: FrozenClock) -> AsyncIterator[Ledger]:
    async with running(database, clock) as ledger:
        yield ledger


async def test_an_attempt_is_on_record_when_its_future_is_done(
    ledger: Ledger, database: Database, clock: FrozenClock
) -> None:
    one = attempt(clock.now_ms())
    await ledger.open(one)
    assert open_rows(database) == [(one.request_id, 1)]
    assert rows(database) == []


async def test_a_settlement_moves_the_attempt_and_keeps_every_figure(
    ledger: Ledger, database: Database, clock: FrozenClock
) -> None:
    one = attempt(clock.now_ms(), stream=True)
    usage = Usage(10, 1, 2, 3, 20, 4, 5, 6, 7)
    await book(ledger, one, usage=usage, price_id=5, error_code="c", error_text="t", provider_request_id="req_1")
    assert open_rows(database) == []
    (row,) = rows(database)
    assert (row.input, row.cached_input, row.cache_write, row.cache_write_1h) == (10, 1, 2, 3)
    assert (row.output, row.reasoning, row.audio_input, row.audio_output, row.images) == (20, 4, 5, 6, 7)
    assert (row.stream, row.final, row.status, row.outcome, row.basis) == (1, 1, 200, Outcome.SERVED, Basis.PROVIDER)
    assert (row.price_id, row.cost_pico, row.charge_pico, row.bound_pico) == (5, 7_000, 8_000, 9_000)
    assert (row.error_code, row.error_text, row.provider_request_id) == ("c", "t", "req_1")
    assert_totals_say_what_the_rows_say(database)


async def test_what_is_not_known_is_null_and_not_zero(ledger: Ledger, database: Database, clock: FrozenClock) -> None:
    one = attempt(clock.now_ms(), bound_pico=None)
    unknown: dict[str, Any] = dict.fromkeys(("status", "first_content_ms", "cost_pico", "charge_pico"))
    await book(ledger, one, usage=NO_USAGE, basis=Basis.UNKNOWN, outcome=Outcome.FAILED, **unknown)
    (row,) = rows(database)
    absent = (
        "status",
        "input",
        "output",
        "images",
        "cost_pico",
        "charge_pico",
        "bound_pico",
        "error_code",
        "error_text",
    )
    assert [getattr(row, name) for name in absent] == [None] * len(absent)
    assert row.basis == Basis.UNKNOWN
    assert_totals_say_what_the_rows_say(database)


async def test_a_second_settlement_changes_nothing(ledger: Ledger, database: Database, clock: FrozenClock) -> None:
    one = attempt(clock.now_ms())
    await book(ledger, one)
    before = rows(database)
    await ledger.settle(settlement(one, cost_pico=999, outcome=Outcome.FAILED))
    assert rows(database) == before
    assert_totals_say_what_the_rows_say(database)


async def test_a_row_that_another_process_made_is_not_counted_again(
    ledger: Ledger, database: Database, clock: FrozenClock
) -> None:
    """As when a worker was taken for dead, its attempts closed as lost, and it comes back."""
    mine, others = attempt(clock.now_ms(), entropy=1), [attempt(clock.now_ms(), entropy=n) for n in range(2, 6)]
    for one in (mine, *others):
        await ledger.open(one)
    assert Ledger(database, clock, "w2").recover() == 5
    await asyncio.gather(*(ledger.settle(settlement(one)) for one in (mine, *others)))
    assert [row.outcome for row in rows(database)] == [Outcome.LOST] * 5
    assert_totals_say_what_the_rows_say(database)


async def test_a_request_with_a_fallback_counts_once(ledger: Ledger, database: Database, clock: FrozenClock) -> None:
    first, second = attempt(clock.now_ms()), attempt(clock.now_ms(), 2, target_id=4)
    await book(ledger, first, outcome=Outcome.FAILED, final=False, status=429)
    await book(ledger, second)
    assert open_rows(database) == []
    sums = totals(database, totals_minute)
    assert [(key[3], t["requests"], t["attempts"], t["errors"], t["failures"]) for key, t in sorted(sums.items())] == [
        (3, 0, 1, 0, 1),
        (4, 1, 1, 0, 0),
    ]
    assert_totals_say_what_the_rows_say(database)


async def test_open_attempts_are_closed_as_lost_with_their_bound_and_no_charge(
    database: Database, clock: FrozenClock
) -> None:
    async with running(database, clock) as ledger:
        await ledger.open(attempt(clock.now_ms()))
    assert Ledger(database, clock, "w2").recover() == 1
    (row,) = rows(database)
    assert (row.outcome, row.final, row.basis, row.error_code) == (Outcome.LOST, 1, Basis.UNKNOWN, "lost")
    assert (row.cost_pico, row.charge_pico, row.bound_pico, row.total_ms) == (None, 0, 9_000, None)
    assert open_rows(database) == []
    assert_totals_say_what_the_rows_say(database)
    assert Ledger(database, clock, "w3").recover() == 0


async def test_a_crash_between_two_attempts_still_counts_the_request_once(
    database: Database, clock: FrozenClock
) -> None:
    async with running(database, clock) as ledger:
        await book(ledger, attempt(clock.now_ms()), outcome=Outcome.FAILED, final=False)
    assert len(open_rows(database)) == 1
    assert Ledger(database, clock, "w2").recover() == 0
    (row,) = rows(database)
    assert (row.final, row.outcome) == (1, Outcome.FAILED)
    assert open_rows(database) == []
    assert_totals_say_what_the_rows_say(database)


async def test_a_crash_with_the_second_attempt_open_counts_the_request_once(
    database: Database, clock: FrozenClock
) -> None:
    async with running(database, clock) as ledger:
        await book(ledger, attempt(clock.now_ms()), outcome=Outcome.FAILED, final=False)
        await ledger.open(attempt(clock.now_ms(), 2))
    assert Ledger(database, clock, "w2").recover() == 1
    assert [(row.number, row.final, row.outcome) for row in rows(database)] == [
        (1, 0, Outcome.FAILED),
        (2, 1, Outcome.LOST),
    ]
    assert_totals_say_what_the_rows_say(database)


async def test_a_worker_that_shares_the_database_and_lives_keeps_its_attempts(
    database: Database, clock: FrozenClock
) -> None:
    if database.is_sqlite:
        pytest.skip("one process serves on SQLite, so any other is dead")
    async with running(database, clock) as ledger:
        await ledger.open(attempt(clock.now_ms()))
        beat = {"pid": 1, "host": "h", "listen": "", "admin": "", "version": "", "started_ms": 0, "state": "{}"}
        with database.write() as tx:
            tx.execute(sa.insert(workers).values(id="w1", heartbeat_ms=clock.now_ms(), **beat))
        assert Ledger(database, clock, "w2").recover() == 0
        clock.advance(seconds=31)
        assert Ledger(database, clock, "w2").recover() == 1


async def test_a_batch_of_any_size_goes_in_whole(ledger: Ledger, database: Database, clock: FrozenClock) -> None:
    for count in (1, 2, 3, 31, 33, 100, 300):
        many = [attempt(clock.now_ms() + count, entropy=n, key_id=n % 7) for n in range(count)]
        await asyncio.gather(*(ledger.open(one) for one in many))
        await asyncio.gather(*(ledger.settle(settlement(one)) for one in many))
    assert len(rows(database)) == 470
    assert open_rows(database) == []
    assert_totals_say_what_the_rows_say(database)


async def test_what_the_provider_says_is_bounded_before_it_is_stored(
    ledger: Ledger, database: Database, clock: FrozenClock
) -> None:
    absurd = Usage(input=10**30, output=-5, reasoning=7)
    one, two = attempt(clock.now_ms(), bound_pico=10**40), attempt(clock.now_ms() + 1)
    await book(ledger, one, usage=absurd, error_text="a\0\ud800" * 1000, provider_request_id="p" * 9000)
    await book(ledger, two, cost_pico=10**25, charge_pico=10**25)
    first, second = rows(database)
    assert (first.input, first.output, first.reasoning, first.basis) == (None, None, 7, Basis.UNKNOWN)
    assert (first.cost_pico, first.bound_pico) == (None, None)
    assert len(first.error_text) <= 500
    assert first.error_text.startswith("a?a?")
    assert len(first.provider_request_id) == 500
    assert (second.cost_pico, second.charge_pico, second.input) == (None, None, 1000)
    assert_totals_say_what_the_rows_say(database)


async def test_an_entry_that_cannot_be_stored_fails_alone(
    ledger: Ledger, database: Database, clock: FrozenClock
) -> None:
    good = [attempt(clock.now_ms(), entropy=n) for n in range(4)]
    bad = attempt(clock.now_ms(), entropy=9, key_id=2**70)
    outcomes = await asyncio.gather(*(ledger.open(one) for one in (*good[:2], bad, *good[2:])), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [type(outcomes[2])]
    assert isinstance(outcomes[2], GatewayError)
    assert len(open_rows(database)) == 4


async def test_a_cancelled_wait_harms_nobody(ledger: Ledger, database: Database, clock: FrozenClock) -> None:
    one = attempt(clock.now_ms())
    waiting = ledger.open(one)
    waiting.cancel()
    await ledger.settle(settlement(one, outcome=Outcome.ABORTED))
    assert [row.outcome for row in rows(database)] == [Outcome.ABORTED]
    assert open_rows(database) == []


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("sk-gw_live_0123456789ABCDEFGHIJ_abcdefghijklmnopqrstuvwxyz012345", "[redacted]"),
        ("gpt-5 sk-proj-Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5", "gpt-5 [redacted]"),
        ("xai-grok-4-fast-reasoning", "xai-grok-4-fast-reasoning"),
        ("hf-meta-llama-3.1-8b-instruct", "hf-meta-llama-3.1-8b-instruct"),
        ("task-specific-embedder-v2", "task-specific-embedder-v2"),
    ],
)
async def test_a_credential_sent_as_a_models_name_is_not_stored(
    ledger: Ledger, database: Database, clock: FrozenClock, name: str, stored: str
) -> None:
    ids = {"alias_id": ledger.alias_id(name), "target_id": ledger.target_id(Target("openai", name))}
    assert ids["alias_id"] == ledger.alias_id(name)
    await book(ledger, attempt(clock.now_ms(), **ids))
    with database.read() as tx:
        assert tx.exec_driver_sql("SELECT name FROM aliases").scalars().all() == [stored]
        assert tx.exec_driver_sql("SELECT model FROM targets").scalars().all() == [stored]


async def test_stopping_writes_what_waits(database: Database, clock: FrozenClock) -> None:
    async with running(database, clock) as ledger:
        many = [attempt(clock.now_ms(), entropy=n) for n in range(50)]
        futures = [ledger.open(one) for one in many] + [ledger.settle(settlement(one)) for one in many]
    await asyncio.gather(*futures)
    assert len(rows(database)) == 50
    with pytest.raises(Unavailable, match="stopped"):
        await ledger.open(attempt(clock.now_ms(), entropy=99))


async def test_readers_can_tell_that_nothing_has_changed(
    ledger: Ledger, database: Database, clock: FrozenClock
) -> None:
    from keyvault.metering.reports import Reports

    reports = Reports(database, clock)
    start = reports.change()
    assert reports.change() == start
    await ledger.open(attempt(clock.now_ms()))
    opened = reports.change()
    assert opened > start
    await ledger.settle(settlement(attempt(clock.now_ms())))
    assert reports.change() > opened


async def test_minutes_are_dropped_after_eight_days_and_quarters_are_not(
    ledger: Ledger, database: Database, clock: FrozenClock
) -> None:
    started = clock.now_ms()
    await book(ledger, attempt(started))
    clock.advance(days=8, seconds=120)
    await book(ledger, attempt(clock.now_ms(), entropy=1))
    async with asyncio.timeout(20):
        while len(totals(database, totals_minute)) > 1:  # noqa: ASYNC110 - the writer's own thread keeps house
            await asyncio.sleep(0.01)
    assert [key[0] for key in totals(database, totals_minute)] == [clock.now_ms() // 60_000]
    kept = sorted(key[0] for key in totals(database, totals_quarter))
    assert kept == [started // 900_000, clock.now_ms() // 900_000]


class TestNames:
    async def test_names_are_stored_with_the_first_attempt_that_uses_them(
        self, ledger: Ledger, database: Database, clock: FrozenClock
    ) -> None:
        alias, target = ledger.alias_id("fast"), ledger.target_id(Target("openai", "gpt-5"))
        assert ledger.alias_id("fast") == alias
        await ledger.open(attempt(clock.now_ms(), alias_id=alias, target_id=target))
        with database.read() as tx:
            assert [tuple(row) for row in tx.execute(sa.select(aliases))] == [(alias, "fast")]
            assert [tuple(row) for row in tx.execute(sa.select(targets))] == [(target, "openai", "gpt-5")]

    async def test_two_processes_agree_on_the_id_of_a_new_name(self, database: Database, clock: FrozenClock) -> None:
        async with running(database, clock) as one, running(database, clock, "w2") as two:
            assert one.alias_id("fast") == two.alias_id("fast")
            await asyncio.gather(
                one.open(attempt(clock.now_ms(), entropy=1)), two.open(attempt(clock.now_ms(), entropy=2))
            )
        with database.read() as tx:
            assert tx.execute(sa.select(aliases.c.name)).scalars().all() == ["fast"]

    async def test_a_client_cannot_name_models_without_end(self, database: Database, clock: FrozenClock) -> None:
        async with running(database, clock) as ledger:
            ids = {ledger.alias_id(f"made-up-{n}") for n in range(MAX_NAMES + 500)}
            assert len(ids) == MAX_NAMES + 1
            assert ledger.alias_id("one more") == name_id("(other)")
            await ledger.open(attempt(clock.now_ms()))
        with database.read() as tx:
            assert tx.execute(sa.select(sa.func.count()).select_from(aliases)).scalar_one() == MAX_NAMES + 1

    async def test_what_a_client_calls_a_model_cannot_break_a_terminal_or_the_database(
        self, ledger: Ledger, database: Database, clock: FrozenClock
    ) -> None:
        for name in ("a\0b", "\x1b[31mred", "\ud800", "x" * 5000, "\u202eevil"):
            await ledger.open(attempt(clock.now_ms(), alias_id=ledger.alias_id(name), entropy=len(name) + ord(name[0])))
        with database.read() as tx:
            names = tx.execute(sa.select(aliases.c.name)).scalars().all()
        assert len(names) == 5
        assert all(name.isprintable() and len(name) <= 200 for name in names)

    def test_two_names_never_share_an_id(self) -> None:
        taken = name_id("b")
        told: list[tuple[str, int]] = []
        interned: Interned[str] = Interned({"a": taken}, "(other)", lambda name, number: told.append((name, number)))
        assert interned.id_of("b") == taken + 1
        assert interned.id_of("b") == taken + 1
        assert told == [("b", taken + 1)]


async def test_random_traffic_leaves_totals_equal_to_rows(
    ledger: Ledger, database: Database, clock: FrozenClock
) -> None:
    chance = random.Random(7)

    async def client(number: int) -> None:
        for step in range(15):
            last = chance.randrange(1, 4)
            for n in range(1, last + 1):
                one = attempt(
                    clock.now_ms() + chance.randrange(10**8), n, entropy=number * 1000 + step,
                    key_id=chance.randrange(3), target_id=chance.randrange(3),
                )  # fmt: skip
                one = replace(one, request_id=f"{number:013}{step:013}")
                await ledger.open(one)
                fields: dict[str, Any] = {
                    "final": n == last,
                    "outcome": chance.choice([Outcome.SERVED, Outcome.FAILED, Outcome.ABORTED]),
                    "total_ms": chance.randrange(60_000),
                    "first_content_ms": chance.choice([None, chance.randrange(60_000)]),
                    "cost_pico": chance.choice([None, chance.randrange(10**12)]),
                    "basis": chance.choice(list(Basis)),
                }
                await asyncio.gather(*(ledger.settle(settlement(one, **fields)) for _ in range(chance.choice([1, 2]))))

    await asyncio.gather(*(client(n) for n in range(12)))
    assert open_rows(database) == []
    assert_totals_say_what_the_rows_say(database)
    with database.read() as tx:
        requests = tx.execute(sa.select(sa.func.count(sa.distinct(attempts.c.request_id)))).scalar_one()
        transactions = tx.execute(sa.select(ledger_changes.c.changes)).scalar_one()
    assert requests == sum(t["requests"] for t in totals(database, totals_minute).values()) == 180
    assert transactions < 2 * len(rows(database))  # they were grouped


async def test_a_row_told_without_what_is_seldom_says_what_the_whole_row_does(
    ledger: Ledger, database: Database, clock: FrozenClock
) -> None:
    """One batch has rows of both kinds; what one of them has is told of that one alone."""
    many = [attempt(clock.now_ms(), entropy=n, tags='{"a":"b"}' if n == 8 else None) for n in range(9)]
    fields: list[dict[str, Any]] = [
        {"usage": Usage(input=1, output=2)},
        *({"usage": replace(Usage(input=1, output=2), **{name: 3})} for name in COUNTS),
        {"usage": Usage(input=1, output=2), "error_code": "c"},
        {"usage": Usage(input=1, output=2), "error_text": "t"},
        {"usage": Usage(input=1, output=2)},
    ]
    await asyncio.gather(*(ledger.open(one) for one in many))
    await asyncio.gather(*(ledger.settle(settlement(one, **f)) for one, f in zip(many, fields, strict=True)))
    for number, (row, told) in enumerate(zip(rows(database), fields, strict=True)):
        assert (row.input, row.output, row.status, row.total_ms, row.cost_pico) == (1, 2, 200, 120, 7_000)
        assert [getattr(row, name) for name in COUNTS] == [getattr(told["usage"], name) for name in COUNTS]
        assert (row.error_code, row.error_text) == (told.get("error_code"), told.get("error_text"))
        assert row.tags == ('{"a":"b"}' if number == 8 else None)
    assert_totals_say_what_the_rows_say(database)


COUNTS = ("cache_write", "cache_write_1h", "audio_input", "audio_output", "images")
