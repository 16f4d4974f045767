"""Several credentials of one upstream, through a whole gateway: turns, refusals, rotation, stopping."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

from keyvault.domain.alerts import Alert
from keyvault.domain.ledger import Outcome
from keyvault.domain.vault import Credential, CredentialState
from keyvault.secrets import Secret
from keyvault.vault.asides import Asides
from tests.proxy.harness import UPSTREAM_SECRET, Running, add_upstream, new_home, running
from tests.proxy.scripted import Line, Provider, Seen, completion

SECOND = "sk-upstream-canary-second-77"


class Accounts:
    """A scripted provider that takes some secrets; `status` is what it answers to those."""

    def __init__(self, *taken: str) -> None:
        self.taken = set(taken)
        self.status = 200

    async def __call__(self, seen: Seen, line: Line) -> None:
        secret = (seen.header("authorization") or "").removeprefix("Bearer ")
        if secret not in self.taken:
            await line.answer(401, {"error": {"message": f"incorrect key {secret}", "code": "invalid_api_key"}})
        elif seen.method == "GET":
            await line.answer(self.status, {"data": [{"id": "m"}]})
        else:
            await line.answer(self.status, completion())


@contextlib.asynccontextmanager
async def two_accounts(tmp_path: Path, accounts: Accounts) -> AsyncIterator[tuple[Running, Provider]]:
    async with Provider(accounts).running() as provider:
        home = new_home(tmp_path / "home")
        add_upstream(home, "up0", provider.url)
        home.credentials.create("up0", "second", Secret(SECOND))
        home.credentials.promote("up0", "second")
        async with running(home) as gw:
            yield gw, provider


def secrets_of(provider: Provider) -> list[str]:
    """Which secrets the chat calls came with."""
    return [(s.header("authorization") or "").removeprefix("Bearer ") for s in provider.seen if s.method == "POST"]


async def until(told: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not told():  # noqa: ASYNC110 - it happens in another thread, told only by the database
            await asyncio.sleep(0.01)


def of(gw: Running, label: str) -> Credential:
    return next(each for each in gw.home.credentials.of("up0") if each.label == label)


def alerts(gw: Running) -> list[Alert]:
    return [each for each in gw.home.alerts.list() if each.kind == "credential_refused"]


async def test_accounts_take_turns_by_weight(tmp_path: Path) -> None:
    async with two_accounts(tmp_path, Accounts(UPSTREAM_SECRET, SECOND)) as (gw, provider):
        gw.home.credentials.set_weight("up0", "second", 2)
        for _ in range(6):
            assert (await gw.chat()).status_code == 200
    assert secrets_of(provider) == [SECOND, UPSTREAM_SECRET, SECOND] * 2


async def test_a_refused_request_is_tried_once_more_with_another_account(tmp_path: Path) -> None:
    async with two_accounts(tmp_path, Accounts(SECOND)) as (gw, provider):
        assert (await gw.chat()).status_code == 200
        first, second = await gw.rows(2)
    assert secrets_of(provider) == [UPSTREAM_SECRET, SECOND]
    assert (first["outcome"], first["status"], first["final"]) == (Outcome.FAILED, 401, 0)
    assert (second["outcome"], second["final"], second["request_id"]) == (Outcome.SERVED, 1, first["request_id"])


async def test_where_every_account_is_refused_the_client_gets_502_after_two_tries(tmp_path: Path) -> None:
    async with two_accounts(tmp_path, Accounts()) as (gw, _):
        response = await gw.chat()
        assert response.status_code == 502
        assert response.json()["error"]["code"] == "upstream_refused_credential"
        assert len(await gw.rows(2)) == 2


async def test_a_refused_account_steps_aside_with_an_alert_and_comes_back_by_its_own_test(tmp_path: Path) -> None:
    accounts = Accounts(SECOND)
    async with two_accounts(tmp_path, accounts) as (gw, provider):
        await gw.chat()
        await until(lambda: of(gw, "main").aside_at is not None)
        [alert] = alerts(gw)
        assert alert.scope == "upstream:up0"
        assert "main" in alert.text
        assert UPSTREAM_SECRET not in alert.text
        before = len(secrets_of(provider))
        for _ in range(4):
            assert (await gw.chat()).status_code == 200
        assert secrets_of(provider)[before:] == [SECOND] * 4
        accounts.taken.add(UPSTREAM_SECRET)
        assert Asides(gw.home.database, gw.home.clock).come_back(of(gw, "main"), "up0")
        assert not alerts(gw)
        await gw.chat()
        await gw.chat()
        assert UPSTREAM_SECRET in secrets_of(provider)[-2:]


async def test_an_outage_lets_nobody_step_aside(tmp_path: Path) -> None:
    accounts = Accounts(UPSTREAM_SECRET, SECOND)
    accounts.status = 500
    async with two_accounts(tmp_path, accounts) as (gw, _):
        for _ in range(4):
            assert (await gw.chat()).status_code == 500
        assert [of(gw, label).aside_at for label in ("main", "second")] == [None, None]
        assert not alerts(gw)


async def test_a_rotation_moves_the_next_request_and_what_the_old_secret_made_stays_with_it(tmp_path: Path) -> None:
    async with two_accounts(tmp_path, Accounts(UPSTREAM_SECRET, SECOND)) as (gw, provider):
        gw.home.credentials.delete("up0", "second")
        await gw.chat()
        gw.home.credentials.stage("up0", Secret(SECOND))
        await gw.chat()
        gw.home.credentials.promote("up0")
        await gw.chat()
        gw.home.credentials.undo("up0")
        await gw.chat()
        assert secrets_of(provider) == [UPSTREAM_SECRET, UPSTREAM_SECRET, SECOND, UPSTREAM_SECRET]


async def test_the_worker_destroys_the_old_secret_when_the_overlap_is_over(tmp_path: Path) -> None:
    async with two_accounts(tmp_path, Accounts(UPSTREAM_SECRET, SECOND)) as (gw, _):
        gw.home.credentials.stage("up0", Secret(SECOND), "main")
        gw.home.credentials.promote("up0", "main", overlap=timedelta(milliseconds=1))
        await until(lambda: of(gw, "main").state is CredentialState.RETIRED)
        assert (await gw.chat()).status_code == 200


async def test_a_disabled_upstream_serves_nobody_from_the_next_request_on(tmp_path: Path) -> None:
    async with two_accounts(tmp_path, Accounts(UPSTREAM_SECRET, SECOND)) as (gw, provider):
        await gw.chat()
        gw.home.paths.key_file.unlink()
        gw.home.upstreams.disable("up0")
        assert (await gw.chat()).status_code == 503
    assert len(secrets_of(provider)) == 1


async def test_an_upstream_made_anew_in_the_place_of_a_deleted_one_serves(tmp_path: Path) -> None:
    """Its rows may get the ids of the deleted ones: they must not pass for earlier versions of those."""
    async with two_accounts(tmp_path, Accounts(UPSTREAM_SECRET, SECOND)) as (gw, provider):
        gw.home.credentials.set_weight("up0", "second", 3)
        assert (await gw.chat()).status_code == 200
        gw.home.upstreams.delete("up0")
        assert (await gw.chat()).status_code == 503
        add_upstream(gw.home, "up0", provider.url)
        assert (await gw.chat()).status_code == 200
        gw.home.credentials.stage("up0", Secret(SECOND))
        gw.home.credentials.stage("up0", Secret(SECOND))
        gw.home.credentials.promote("up0")
        assert (await gw.chat()).status_code == 200
