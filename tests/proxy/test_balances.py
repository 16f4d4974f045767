"""Prepaid balances while serving: what is not covered is refused, what was changed by hand covers nothing, and of
several workers on one database one spends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from keyvault.clock import Clock
from keyvault.domain.alerts import Alert
from keyvault.domain.scopes import parse_scope
from keyvault.errors import Tampered
from keyvault.home import Home
from keyvault.metering.spending import Spending
from keyvault.proxy.prepaid import TAMPERED, Prepaid
from keyvault.proxy.purse import Purse
from keyvault.proxy.server import serving
from keyvault.proxy.supervision import NO_LOOKS, Chore, Look, Stopping, Supervisor
from keyvault.proxy.tables import Tables
from keyvault.proxy.worker import Worker
from keyvault.storage import balances as rows
from keyvault.storage import purse as purses
from keyvault.vault.manifest import SealKeys
from keyvault.vault.survey import reseal
from tests.attacks.conftest import read, write
from tests.conftest import FrozenClock
from tests.proxy.harness import Running, add_upstream, new_home, running
from tests.proxy.scripted import Line, Provider, Seen, completion

DOLLAR = 10**12
PICO = 13 * 10**6
"""What one answer costs: 7 tokens at 1 dollar and 3 at 2 dollars a million."""
DEFAULT = parse_scope("customer:default")


async def answer_well(seen: Seen, line: Line) -> None:
    await line.answer(200, completion(model=seen.json["model"]))


def paid_home(tmp_path: Path, provider: Provider, pico: int = DOLLAR) -> Home:
    """A home whose customer has paid so much before."""
    home = new_home(tmp_path / "home")
    add_upstream(home, "up", provider.url)
    home.balances.top_up(DEFAULT, pico, "invoice 1")
    return home


@contextlib.asynccontextmanager
async def prepaid(tmp_path: Path, pico: int = DOLLAR) -> AsyncIterator[Running]:
    async with Provider(answer_well).running() as provider, running(paid_home(tmp_path, provider, pico)) as gw:
        yield gw


@contextlib.asynccontextmanager
async def twice(
    tmp_path: Path, first: Callable[[Running], Awaitable[None]], between: Callable[[], None]
) -> AsyncIterator[Running]:
    """A gateway that served before and was stopped; somebody did something meanwhile."""
    async with Provider(answer_well).running() as provider:
        home = paid_home(tmp_path, provider)
        async with running(home) as gw:
            await first(gw)
        between()
        async with running(Home(home.environ), "second") as gw:
            yield gw


async def refused(gw: Running) -> str:
    """Why a call is refused with 402."""
    answer = await gw.chat(max_tokens=5)
    assert answer.status_code == 402, answer.text
    return str(answer.json()["error"]["code"])


async def until(true: Callable[[], bool]) -> None:
    for _ in range(500):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not become true")


def alerts(gw: Running) -> list[Alert]:
    return [alert for alert in gw.home.alerts.list() if alert.kind == TAMPERED]


async def test_what_is_served_is_taken_and_at_zero_the_code_is_openais(tmp_path: Path) -> None:
    async with prepaid(tmp_path, 1_000 * PICO) as gw:
        assert (await gw.chat(max_tokens=5)).status_code == 200
        await gw.rows(1)
        standing = gw.home.balances.show(DEFAULT)
        assert standing.balance.charged_pico == PICO
        assert standing.balance.available_pico == 999 * PICO  # what is held is told once a second
        gw.home.balances.adjust(DEFAULT, -999 * PICO, "spent elsewhere")
        assert await refused(gw) == "insufficient_quota"
        gw.home.balances.top_up(DEFAULT, DOLLAR, "invoice 2")
        assert (await gw.chat(max_tokens=5)).status_code == 200, "the next request sees it"


async def test_the_customers_multiplier_makes_the_charge_and_never_the_cost(tmp_path: Path) -> None:
    async with prepaid(tmp_path) as gw:
        for multiplier in ("1.15", "0", "1.000001"):
            gw.home.customers.update("default", multiplier=Decimal(multiplier))
            assert (await gw.chat(max_tokens=5)).status_code == 200
        found = await gw.rows(3)
        assert [row["cost_pico"] for row in found] == [PICO] * 3
        assert [row["charge_pico"] for row in found] == [14_950_000, 0, 13_000_013]
        assert gw.home.balances.show(DEFAULT).balance.charged_pico == 14_950_000 + 13_000_013


TAMPERING = {
    "the sum": "UPDATE balances SET funded_pico = funded_pico * 2",
    "whose it is": "UPDATE balances SET scope_id = 99",
    "whose keys spend it": "UPDATE balances SET env = 'test'",
    "what was spent": "UPDATE balance_spending SET charged_pico = -1000000000000",
    "that anything was spent": "DELETE FROM balance_spending",
}


@pytest.mark.parametrize("what", TAMPERING)
async def test_what_was_changed_by_hand_covers_nothing_and_is_an_alert(tmp_path: Path, what: str) -> None:
    async with prepaid(tmp_path) as gw:
        assert (await gw.chat(max_tokens=5)).status_code == 200
        await gw.rows(1)
        write(tmp_path / "home", TAMPERING[what])
        write(tmp_path / "home", "UPDATE epochs SET money = money + 1")
        assert await refused(gw) == "insufficient_quota"
        if what not in ("the sum", "whose it is", "whose keys spend it"):  # those are rows, and alerts of their own
            await until(lambda: bool(alerts(gw)))
            assert "gwctl balances reseal" in alerts(gw)[0].text
            gw.home.balances.reseal(DEFAULT, "looked into it")
            assert (await gw.chat(max_tokens=5)).status_code == 200


async def test_without_an_epoch_it_is_noticed_within_seconds_and_entries_within_a_minute(tmp_path: Path) -> None:
    async with prepaid(tmp_path) as gw:
        clock = FrozenClock()
        home = Home(gw.home.environ, clock)
        tables = Tables(home)
        told: list[str] = []
        chore = Prepaid(home, tables.rules.examiner, told.extend)
        await asyncio.to_thread(chore)
        assert not told
        write(tmp_path / "home", "UPDATE balance_entries SET amount_pico = amount_pico * 2")
        for seconds, expected in ((6, []), (60, ["balances"])):
            clock.advance(seconds=seconds)
            await asyncio.to_thread(chore)
            assert told == expected
        tables.close()
        home.close()


async def test_an_older_row_put_back_while_the_gateway_is_down_covers_nothing(tmp_path: Path) -> None:
    columns, old = ("version", "charged_pico", "doubt_pico", "mac"), []

    async def spend(gw: Running) -> None:
        assert (await gw.chat(max_tokens=5)).status_code == 200
        await gw.rows(1)
        old.extend(read(tmp_path / "home", f"SELECT {', '.join(columns)} FROM balance_spending"))
        assert (await gw.chat(max_tokens=5)).status_code == 200

    def put_back() -> None:
        write(tmp_path / "home", f"UPDATE balance_spending SET {', '.join(f'{c} = ?' for c in columns)}", *old[0])

    async with twice(tmp_path, spend, put_back) as gw:
        assert await refused(gw) == "insufficient_quota"
        await until(lambda: bool(alerts(gw)))
        assert "put back" in alerts(gw)[0].text
        standing = gw.home.balances.reseal(DEFAULT, "looked into it")
        assert standing.balance.charged_pico == 2 * PICO, "the attempts on record know it"
        assert (await gw.chat(max_tokens=5)).status_code == 200


async def test_a_balance_given_to_somebody_else_meanwhile_sets_nobody_free(tmp_path: Path) -> None:
    async def serve(gw: Running) -> None:
        assert (await gw.chat(max_tokens=5)).status_code == 200

    def give_away() -> None:
        write(tmp_path / "home", "UPDATE balances SET scope_id = 99")

    with pytest.raises(Tampered, match="customer:default live was there before"):
        async with twice(tmp_path, serve, give_away):
            pass
    home = Home({"GWCTL_HOME": str(tmp_path / "home")})
    assert home.balances.reseal(DEFAULT, "looked into it").available_pico == -PICO, "made again, and what was spent is"
    with pytest.raises(Tampered, match="nothing is served by it"):
        async with running(home, "third"):
            pass
    home = Home({"GWCTL_HOME": str(tmp_path / "home")})
    reseal(home.database, home.clock, SealKeys.of(home.vault.trust().access), home.seals.journal)
    async with running(home, "fourth") as gw:
        assert await refused(gw) == "insufficient_quota"


async def test_a_provider_that_says_it_took_more_than_there_is_leaves_nothing_but_never_less(tmp_path: Path) -> None:
    async def absurd(seen: Seen, line: Line) -> None:
        await line.answer(200, completion(model=seen.json["model"], output=1_000_000))

    async with Provider(absurd).running() as provider, running(paid_home(tmp_path, provider)) as gw:
        assert (await gw.chat(max_tokens=5)).status_code == 200
        [row] = await gw.rows(1)
        balance = gw.home.balances.show(DEFAULT).balance
        assert (balance.available_pico, balance.in_doubt_pico) == (0, DOLLAR - row["charge_pico"])
        assert row["cost_pico"] > DOLLAR > row["hold_pico"] == row["charge_pico"] > 0
        assert await refused(gw) == "insufficient_quota"
        await until(
            lambda: ("balance_in_doubt", "customer:default") in [(a.kind, a.scope) for a in gw.home.alerts.list()]
        )
        gw.home.balances.release(DEFAULT, "the provider was mistaken")
        await until(lambda: "balance_in_doubt" not in [alert.kind for alert in gw.home.alerts.list()])
        assert [v for v in gw.home.balances.verify() if v.tampered or v.differs] == []


async def test_what_a_killed_process_left_open_is_in_doubt_before_the_first_request(tmp_path: Path) -> None:
    left: list[int] = []

    async def spend(gw: Running) -> None:
        assert (await gw.chat(max_tokens=5)).status_code == 200
        await gw.rows(1)
        left.append(gw.home.balances.show(DEFAULT).balance.available_pico)

    def leave_open() -> None:
        write(
            tmp_path / "home",
            "INSERT INTO open_attempts (request_id, number, started_ms, worker, key_id, generation, alias_id, "
            "target_id, dialect, stream, bound_pico, multiplier_ppm, balance_id, hold_pico) "
            "VALUES ('01K00000000000000000000000', 1, 1790856000000, 'dead', 1, 1, 1, 1, 'chat', 0, ?, 1000000, 1, ?)",
            *(left * 2),
        )

    async with twice(tmp_path, spend, leave_open) as gw:
        assert await refused(gw) == "insufficient_quota"
        assert gw.home.balances.show(DEFAULT).balance.in_doubt_pico == left[0]
        gw.home.balances.release(DEFAULT, "the provider billed nothing")
        assert (await gw.chat(max_tokens=5)).status_code == 200
        assert [v for v in gw.home.balances.verify() if v.tampered or v.differs] == []


@contextlib.asynccontextmanager
async def two_workers(tmp_path: Path, url: str) -> AsyncIterator[tuple[Home, list[httpx.AsyncClient], dict[str, str]]]:
    """Two workers on one PostgreSQL database, and the key of one with a prepaid customer and of one without."""
    async with Provider(answer_well).running() as provider, contextlib.AsyncExitStack() as stack:
        home = new_home(tmp_path / "home", {"GWCTL_DATABASE_URL": url})
        add_upstream(home, "up", provider.url)
        home.customers.create("acme")
        home.customers.create_project("acme/web")
        home.balances.top_up(parse_scope("customer:acme"), DOLLAR, "invoice 1")
        keys = {
            "acme": home.keys.create("paid", project="acme/web").secret.reveal(),
            "default": home.keys.create("free").secret.reveal(),
        }
        clients = []
        for _ in range(2):
            worker = Home(dict(home.environ))
            stack.callback(worker.close)
            at, _admin = await stack.enter_async_context(serving(worker, "127.0.0.1:0", "127.0.0.1:0"))
            clients.append(
                await stack.enter_async_context(
                    httpx.AsyncClient(base_url=at, trust_env=False, verify=False, timeout=20)
                )
            )
        yield home, clients, keys
        home.close()


async def ask(client: httpx.AsyncClient, key: str) -> int:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
    answer = await client.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})
    return answer.status_code


async def test_of_two_workers_one_spends_and_the_other_takes_over(tmp_path: Path, postgresql_url: str) -> None:
    async with two_workers(tmp_path, postgresql_url) as (home, (first, second), keys):
        assert (await ask(first, keys["acme"]), await ask(second, keys["acme"])) == (200, 503)
        assert (await ask(first, keys["default"]), await ask(second, keys["default"])) == (200, 200)
        with home.database.write() as tx:
            [spender, other] = [worker.id for worker in home.workers.list()]
            assert purses.holder(tx, 0) == (spender, True)
            purses.take(tx, other, 1)  # as if the first had been silent for long, and does not know it
        assert await ask(first, keys["acme"]) == 503, "the ledger opens nothing for who has lost it"
        assert await ask(first, keys["default"]) == 200
        for _ in range(300):
            if (status := await ask(second, keys["acme"])) == 200:
                break
            await asyncio.sleep(0.02)
        assert status == 200
        with home.database.read() as tx:
            [taken] = rows.taken(tx)
        assert taken.charged_pico == 2 * PICO


OPEN_ATTEMPT = (
    "INSERT INTO open_attempts (request_id, number, started_ms, worker, key_id, generation, alias_id, target_id, "
    "dialect, stream, bound_pico, multiplier_ppm) "
    "VALUES ('01K00000000000000000000000', 1, 1, '{}', 1, 1, 1, 1, 'chat', 0, 5, 1000000)"
)


async def test_who_was_silent_and_has_the_purse_still_takes_nothing_from_itself(
    tmp_path: Path, postgresql_url: str
) -> None:
    home = new_home(tmp_path / "home", {"GWCTL_DATABASE_URL": postgresql_url})
    workers = [home.workers.register("a", "b", "1") for _ in range(2)]
    tables = [Tables(home) for _ in workers]
    a, b = (Purse(home.database, home.clock, w, t, Spending()) for w, t in zip(workers, tables, strict=True))
    silent = "UPDATE workers SET heartbeat_ms = 1"
    a()
    with home.database.write() as tx:
        tx.exec_driver_sql(silent)
    before = tables[0].purse
    a()
    assert tables[0].purse == before is not None
    tables[0].look()
    await tables[0].rules.renewed()
    assert [each.may_spend for each in tables] == [True, False]
    with home.database.write() as tx:
        tx.exec_driver_sql(OPEN_ATTEMPT.format(workers[0]))
    b()
    home.workers.beat(workers[0], {})
    a()
    tables[1].look()
    await tables[1].rules.renewed()
    assert [each.may_spend for each in tables] == [False, True]
    with home.database.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM open_attempts").scalar_one() == 0
    for each in tables:
        each.close()
    home.close()


async def test_what_a_silent_spender_left_is_booked_though_it_is_back_before_that(
    tmp_path: Path, postgresql_url: str
) -> None:
    home = new_home(tmp_path / "home", {"GWCTL_DATABASE_URL": postgresql_url})
    silent, other = (home.workers.register("a", "b", "1") for _ in range(2))

    class Back(Clock):
        """The silent worker beats as soon as the other has taken the purse."""

        def now_ms(self) -> int:
            with home.database.read() as tx:
                taken = purses.holder(tx, 0).worker == other
            if taken:
                home.workers.beat(silent, {})
            return super().now_ms()

    tables = Tables(home)
    Purse(home.database, home.clock, silent, tables, Spending())()
    with home.database.write() as tx:
        tx.exec_driver_sql("UPDATE workers SET heartbeat_ms = 1")
        tx.exec_driver_sql(OPEN_ATTEMPT.format(silent))
    Purse(home.database, Back(), other, tables, Spending())()
    with home.database.read() as tx:
        assert purses.holder(tx, home.clock.now_ms() - 1_000).worker == other
        assert tx.exec_driver_sql("SELECT count(*) FROM open_attempts").scalar_one() == 0
    tables.close()
    home.close()


class Once(Stopping):
    """A worker that stops after one round of its housekeeping."""

    rounds = 0

    async def within(self, seconds: float) -> bool:
        self.rounds += 1
        return self.rounds > 1


async def test_a_worker_tells_that_it_lives_before_it_asks_who_has_the_purse(tmp_path: Path) -> None:
    class Notes(Supervisor):
        async def attempt_each(self, chores: Mapping[str, Chore], looks: Mapping[str, Look] = NO_LOOKS) -> None:
            done.extend([*looks, *chores])
            await super().attempt_each(chores, looks)

    done: list[str] = []
    home = new_home(tmp_path / "home")
    worker = Worker(home, "127.0.0.1:1", "127.0.0.1:2", accept_clock=False)
    await worker.start()
    worker.supervisor = Notes(home.alerts)
    await worker.jobs(None)["housekeeping"](Once())
    assert done.index("heartbeat") == 0 < done.index("purse")
    worker.close_books()
    home.close()
