"""Batches, background responses and runs: booked once, when they are done, under the key that started them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keyvault.clock import Clock
from keyvault.domain.keys import Policy
from keyvault.domain.ledger import Basis, Outcome, Usage
from keyvault.domain.objects import State, StoredObject
from keyvault.domain.prices import Rates, flat
from keyvault.home import Home
from keyvault.metering.deferred import Counted
from keyvault.metering.ledger import Ledger
from keyvault.proxy.isolation.outcomes import counted_in, counted_in_results
from keyvault.proxy.isolation.settling import GIVE_UP_MS, Settling
from keyvault.proxy.tables import Tables
from keyvault.proxy.upstream import Pool
from keyvault.storage import objects as rows
from tests.attacks.conftest import write
from tests.proxy.harness import DOLLAR_PER_MILLION, add_upstream, new_home
from tests.proxy.scripted import Line, Provider, Seen
from tests.proxy.test_isolation import Tenants, tenants

USAGE = {"input_tokens": 1000, "output_tokens": 500, "total_tokens": 1500}
COST = 1000 * 10**6 + 500 * 2 * 10**6
"""Pico-dollars at 1 and 2 dollars per million."""


async def booked(t: Tenants) -> list[dict[str, Any]]:
    with t.gateway.home.database.read() as tx:
        found = tx.exec_driver_sql(
            "SELECT a.*, k.name AS key_name, n.name AS alias FROM attempts a JOIN keys k ON k.id = a.key_id"
            " JOIN aliases n ON n.id = a.alias_id WHERE dialect = 'deferred'"
        )
        return [dict(row) for row in found.mappings()]


def finish(t: Tenants, collection: str, made: str, **values: Any) -> None:
    t.store.objects[collection][made].update(values)


async def test_a_batch_is_booked_once_when_its_key_sees_that_it_is_done(tmp_path: Path) -> None:
    async with tenants(tmp_path) as t:
        batch = await t.make("a", "batches")
        await t.ask("a", "GET", f"/batches/{batch}")
        assert await booked(t) == []
        finish(t, "batches", batch, status="completed", model="m", usage=USAGE)
        await asyncio.gather(*(t.ask("a", "GET", f"/batches/{batch}") for _ in range(5)))
        await t.ask("a2", "GET", "/batches")
        [row] = await booked(t)
        assert (row["key_name"], row["alias"], row["input"], row["output"]) == ("a", "m", 1000, 500)
        assert (row["cost_pico"], row["charge_pico"]) == (COST, COST)
        assert (row["basis"], row["outcome"]) == (Basis.PROVIDER.value, Outcome.SERVED.value)
        assert row["provider_request_id"] == batch


async def test_a_list_settles_what_it_shows_to_be_done(tmp_path: Path) -> None:
    async with tenants(tmp_path) as t:
        batch = await t.make("a", "batches")
        finish(t, "batches", batch, status="completed", model="m", usage=USAGE)
        await t.ask("b", "GET", "/batches")
        assert await booked(t) == []
        await t.ask("a", "GET", "/batches")
        assert [row["key_name"] for row in await booked(t)] == ["a"]


async def test_asking_for_an_object_costs_nothing_itself(tmp_path: Path) -> None:
    async with tenants(tmp_path) as t:
        made = await t.make("a", "responses")
        await t.ask("a", "GET", f"/responses/{made}")
        first, second = await t.gateway.rows(2)
        assert (first["input"], first["output"], first["cost_pico"]) == (7, 3, 13 * 10**6)
        assert (second["input"], second["output"], second["cost_pico"]) == (0, 0, 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_background_response_is_booked_when_it_ends_and_not_before(tmp_path: Path, stream: bool) -> None:
    async with tenants(tmp_path) as t:
        started = await t.ask(
            "a", "POST", "/responses", json={"model": "m", "input": "x", "background": True, "stream": stream}
        )
        made = next(iter(t.store.objects["responses"]))
        assert started.status_code == 200
        [row] = await t.gateway.rows(1)
        assert row["cost_pico"] == 0, "the answer says nothing of the work"
        assert t.owner(made) == "a"
        finish(t, "responses", made, status="completed", usage=USAGE)
        await t.ask("a", "GET", f"/responses/{made}")
        await t.ask("a", "GET", f"/responses/{made}")
        assert [row["cost_pico"] for row in await booked(t)] == [COST]


async def test_a_failed_background_response_without_usage_has_an_unknown_cost(tmp_path: Path) -> None:
    async with tenants(tmp_path) as t:
        await t.ask("a", "POST", "/responses", json={"model": "m", "input": "x", "background": True})
        made = next(iter(t.store.objects["responses"]))
        finish(t, "responses", made, status="failed")
        await t.ask("a", "GET", f"/responses/{made}")
        [row] = await booked(t)
        assert (row["cost_pico"], row["charge_pico"]) == (None, 0)
        assert (row["basis"], row["outcome"]) == (Basis.UNKNOWN.value, Outcome.FAILED.value)


async def test_a_price_for_batches_is_used_where_there_is_one(tmp_path: Path) -> None:
    async with tenants(tmp_path) as t:
        half = Rates(input=flat(DOLLAR_PER_MILLION // 2), output=flat(DOLLAR_PER_MILLION))
        t.gateway.home.prices.set_own("openai", "m@batch", half)
        batch = await t.make("a", "batches")
        finish(t, "batches", batch, status="completed", model="m", usage=USAGE)
        await t.ask("a", "GET", f"/batches/{batch}")
        assert [row["cost_pico"] for row in await booked(t)] == [COST // 2]


async def test_deferred_work_is_in_the_totals(tmp_path: Path) -> None:
    async with tenants(tmp_path) as t:
        batch = await t.make("a", "batches")
        finish(t, "batches", batch, status="completed", model="m", usage=USAGE)
        await t.ask("a", "GET", f"/batches/{batch}")
        with t.gateway.home.database.read() as tx:
            [total] = tx.exec_driver_sql("SELECT sum(cost_pico) FROM totals_day").scalars()
        assert total == COST


def test_a_finished_answer_is_read_as_it_stands() -> None:
    usage = Usage(input=1000, output=500)
    done = {"status": "completed", "model": "m", "usage": USAGE}
    assert counted_in("batch", done, None) == [Counted("m", usage, Basis.PROVIDER)]
    assert counted_in("run", done, None) == [Counted("m", usage, Basis.PROVIDER)]
    nothing = Usage(input=0, output=0)
    failed = {"status": "failed", "request_counts": {"total": 0, "completed": 0, "failed": 0}}
    assert counted_in("batch", failed, "m") == [Counted("m", nothing, Basis.PROVIDER)]
    untold = {
        "status": "completed",
        "request_counts": {"completed": 2},
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }
    assert counted_in("batch", untold, "m") is None, "two requests that used nothing: the results know better"
    assert counted_in("response", {"status": "failed"}, "m") == [Counted("m")]


def test_results_are_added_up_by_model() -> None:
    def line(model: str, output: int, status: int = 200) -> bytes:
        usage = {"prompt_tokens": 10, "completion_tokens": output}
        return json.dumps({"response": {"status_code": status, "body": {"model": model, "usage": usage}}}).encode()

    results = b"\n".join([line("m", 1), line("m", 2), line("n", 4), line("m", 9, 500), b""])
    assert counted_in_results("batch", results, None) == [
        Counted("m", Usage(input=20, output=3), Basis.PROVIDER),
        Counted("n", Usage(input=10, output=4), Basis.PROVIDER),
    ]
    without = json.dumps({"response": {"status_code": 200, "body": {"model": "m"}}}).encode()
    assert counted_in_results("batch", results + without, "m") == [Counted("m")], "one unknown part: unknown"
    assert counted_in_results("batch", b"not json", "m") == [Counted("m")]


def test_embeddings_have_no_output_to_be_told() -> None:
    body = {"object": "list", "model": "e", "data": [], "usage": {"prompt_tokens": 8, "total_tokens": 8}}
    line = json.dumps({"response": {"status_code": 200, "body": body}}).encode()
    assert counted_in_results("batch", line, None) == [Counted("e", Usage(input=8, output=0), Basis.PROVIDER)]


def test_anthropic_results_are_added_up_as_well() -> None:
    usage = {"input_tokens": 5, "cache_read_input_tokens": 3, "output_tokens": 2}
    good = {"custom_id": "1", "result": {"type": "succeeded", "message": {"model": "claude", "usage": usage}}}
    bad = {"custom_id": "2", "result": {"type": "errored", "error": {}}}
    results = "\n".join(map(json.dumps, (good, bad, good))).encode()
    [counted] = counted_in_results("message_batch", results, None)
    assert (counted.model, counted.usage.input, counted.usage.cached_input, counted.usage.output) == (
        "claude",
        16,
        6,
        4,
    )


class Moving(Clock):
    """The real time, moved by hand."""

    ahead_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


@dataclass
class Asking:
    """The background job alone, in front of a scripted provider."""

    home: Home
    settling: Settling
    clock: Moving
    ledger: Ledger
    tables: Tables
    provider: Provider
    answers: dict[str, Any]

    def put(self, **values: Any) -> None:
        with self.home.database.write() as tx:
            key = self.home.keys.get("tester")
            found = StoredObject(
                **{
                    "object_id": "batch_1",
                    "upstream": "openai",
                    "kind": "batch",
                    "project_id": key.project_id,
                    "key_id": key.id,
                    "generation": 1,
                    "credential_id": None,
                    "created_ms": self.clock.now_ms(),
                    "state": State.PENDING,
                    "model": "m",
                    "due_ms": self.clock.now_ms(),
                    **values,
                }
            )
            rows.add(tx, [found])

    def booked(self) -> list[dict[str, Any]]:
        with self.home.database.read() as tx:
            return [dict(row) for row in tx.exec_driver_sql("SELECT * FROM attempts").mappings()]


@contextlib.asynccontextmanager
async def asking(tmp_path: Path) -> AsyncIterator[Asking]:
    answers: dict[str, Any] = {}

    async def script(seen: Seen, line: Line) -> None:
        found = answers.get(seen.path)
        await line.answer(404 if found is None else 200, {} if found is None else found)

    async with Provider(script).running() as provider:
        home = new_home(tmp_path)
        clock = Moving()
        home.clock = clock
        add_upstream(home, "openai", provider.url)
        home.keys.create("tester", policy=Policy(endpoints=("all",)))
        tables = Tables(home)
        ledger = Ledger(home.database, clock, "w1")
        ledger.start(asyncio.get_running_loop())
        pool = Pool(connect_timeout=5, environ={})
        try:
            yield Asking(
                home,
                Settling(home.database, clock, ledger, tables, pool, "w1"),
                clock,
                ledger,
                tables,
                provider,
                answers,
            )
        finally:
            pool.close()
            ledger.stop()
            tables.close()
            home.close()


async def test_what_nobody_asks_about_is_asked_about(tmp_path: Path) -> None:
    async with asking(tmp_path) as a:
        a.put()
        a.answers["/v1/batches/batch_1"] = {"id": "batch_1", "status": "in_progress"}
        assert await a.settling.look() == 0
        assert await a.settling.look() == 0
        assert len(a.provider.seen) == 1, "not again before its time"
        a.answers["/v1/batches/batch_1"] = {"id": "batch_1", "status": "completed", "model": "m", "usage": USAGE}
        a.clock.ahead_ms += 60_000
        assert await a.settling.look() == 1
        a.clock.ahead_ms += 60_000_000
        assert await a.settling.look() == 0
        assert [row["cost_pico"] for row in a.booked()] == [COST]


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE customers SET multiplier_ppm = 1",
        "UPDATE projects SET customer_id = 2",
        "UPDATE keys SET project_id = 2",
    ],
)
async def test_nothing_is_booked_by_a_row_that_nobody_vouches_for(tmp_path: Path, edit: str) -> None:
    async with asking(tmp_path) as a:
        a.home.customers.create("cheap")
        a.home.customers.create_project("cheap/one")
        a.put()
        a.answers["/v1/batches/batch_1"] = {"status": "completed", "model": "m", "usage": USAGE}
        write(tmp_path, edit)
        a.clock.ahead_ms += 60_000
        assert await a.settling.look() == 0
        assert a.booked() == []
        assert any("something else than gwctl" in why for why in a.tables.guard.doubts.values())
        with a.home.database.read() as tx:
            assert [each.state for each in rows.find(tx, ["batch_1"])] == [State.PENDING]


async def test_two_workers_book_once(tmp_path: Path) -> None:
    async with asking(tmp_path) as a:
        a.put()
        a.answers["/v1/batches/batch_1"] = done = {"status": "completed", "model": "m", "usage": USAGE}
        home = a.home
        other = Settling(home.database, a.clock, a.ledger, a.tables, Pool(connect_timeout=5, environ={}), "w2")
        with home.database.read() as tx:
            [found] = rows.find(tx, ["batch_1"])
        told = await asyncio.gather(*(s.told(found, done) for s in (a.settling, other, a.settling, other)))
        assert sorted(told) == [False, False, False, True]
        assert len(a.booked()) == 1


async def test_a_batch_without_usage_is_counted_from_its_results(tmp_path: Path) -> None:
    async with asking(tmp_path) as a:
        a.put()
        a.answers["/v1/batches/batch_1"] = {
            "status": "completed",
            "request_counts": {"completed": 1},
            "output_file_id": "file-out",
        }
        body = {"model": "m", "usage": {"prompt_tokens": 1000, "completion_tokens": 500}}
        a.answers["/v1/files/file-out/content"] = {"response": {"status_code": 200, "body": body}}
        assert await a.settling.look() == 1
        [row] = a.booked()
        assert (row["cost_pico"], row["basis"]) == (COST, Basis.PROVIDER.value)
        with a.home.database.read() as tx:
            assert [found.kind for found in rows.find(tx, ["file-out"])] == ["file"]


async def test_a_message_batch_is_counted_from_its_results(tmp_path: Path) -> None:
    async with asking(tmp_path) as a:
        a.put(object_id="msgbatch_1", kind="message_batch", model=None)
        counts = {"succeeded": 1, "errored": 0}
        a.answers["/v1/messages/batches/msgbatch_1"] = {"processing_status": "ended", "request_counts": counts}
        message = {"model": "m", "usage": {"input_tokens": 1000, "output_tokens": 500}}
        a.answers["/v1/messages/batches/msgbatch_1/results"] = {"result": {"type": "succeeded", "message": message}}
        assert await a.settling.look() == 1
        assert [row["cost_pico"] for row in a.booked()] == [COST]


async def test_what_never_ends_is_given_up_as_unknown(tmp_path: Path) -> None:
    async with asking(tmp_path) as a:
        a.put()
        a.answers["/v1/batches/batch_1"] = {"status": "in_progress"}
        a.clock.ahead_ms += GIVE_UP_MS + 1000
        assert await a.settling.look() == 1
        [row] = a.booked()
        assert (row["cost_pico"], row["basis"]) == (None, Basis.UNKNOWN.value)
        assert (row["outcome"], row["error_code"]) == (Outcome.LOST.value, "never_settled")


async def test_a_provider_that_is_away_is_asked_again(tmp_path: Path) -> None:
    async with asking(tmp_path) as a:
        a.put()
        a.provider.script = cut
        assert await a.settling.look() == 0
        assert a.booked() == []


async def cut(_seen: Seen, line: Line) -> None:
    line.cut()
