"""Somebody writes into the database of a running gateway: what they changed is not acted by, and an alert says so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keyvault.clock import Clock
from keyvault.domain.alerts import Alert
from keyvault.domain.prices import Rates, flat
from keyvault.domain.routes import Target
from keyvault.errors import Tampered
from keyvault.home import Home
from keyvault.proxy.tables import Tables
from keyvault.proxy.vouching import Vouching
from keyvault.storage import seals as rows
from tests.attacks.conftest import read, write
from tests.proxy.harness import DOLLAR_PER_MILLION, Running, add_upstream, new_home, running
from tests.proxy.scripted import Line, Provider, Seen, completion

KEYS = 'UPDATE epochs SET "keys" = "keys" + 1'
STAMP = 'UPDATE keys SET epoch = (SELECT "keys" + 1 FROM epochs)'


async def answer_well(seen: Seen, line: Line) -> None:
    await line.answer(200, completion(model=seen.json["model"]))


@contextlib.asynccontextmanager
async def serving(tmp_path: Path) -> AsyncIterator[tuple[Running, Provider]]:
    async with Provider(answer_well).running() as provider:
        home = new_home(tmp_path / "home")
        add_upstream(home, "up", provider.url)
        home.routes.set("m", [Target("up", "m")])
        async with running(home) as gw:
            assert (await gw.chat()).status_code == 200
            yield gw, provider


def by_hand(tmp_path: Path, *statements: str) -> None:
    for statement in statements:
        write(tmp_path / "home", statement)


def locked(tmp_path: Path) -> Home:
    """The same home, as a process without the unlock secret has it."""
    environ = {"GWCTL_HOME": str(tmp_path / "home"), "GWCTL_UNLOCK_COMMAND": "false"}
    key = tmp_path / "home" / "config" / "unlock.key"
    if key.exists():
        key.rename(tmp_path / "unlock.key")
    return Home(environ)


class Later(Clock):
    """More than a minute has passed: every row is looked at again, though no epoch has moved."""

    def monotonic(self) -> float:
        return super().monotonic() + 100


async def alert(gw: Running, kind: str = "tampered_row") -> Alert:
    """The first open alert of a kind, once there is one."""
    for _ in range(1000):
        for found in await asyncio.to_thread(gw.home.alerts.list):
            if found.kind == kind:
                return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"no alert of the kind {kind}")


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE keys SET policy = '{\"endpoints\": [\"all\"]}' WHERE name = 'tester'",
        "UPDATE customers SET multiplier_ppm = 1",
        "UPDATE projects SET name = 'other'",
    ],
)
async def test_a_key_that_was_edited_in_the_database_is_refused(tmp_path: Path, edit: str) -> None:
    async with serving(tmp_path) as (gw, provider):
        by_hand(tmp_path, edit, STAMP, KEYS)
        answer = await gw.chat()
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
        assert len(provider.seen) == 1
        assert "by something else than gwctl" in (await alert(gw)).text


async def test_a_key_revoked_while_locked_is_refused_sealed_and_not_turned_back(tmp_path: Path) -> None:
    async with serving(tmp_path) as (gw, _):
        await asyncio.to_thread(locked(tmp_path).keys.revoke, "tester")
        assert (await gw.chat()).status_code == 401
        for _ in range(1000):
            with gw.home.database.read() as tx:
                if not rows.unsealed_rows(tx):
                    break
            await asyncio.sleep(0.01)
        by_hand(tmp_path, "UPDATE keys SET state = 'active' WHERE name = 'tester'", STAMP, KEYS)
        assert (await gw.chat()).status_code == 401
        assert (await alert(gw)).text.startswith("key tester was changed by something else than gwctl")


async def test_a_route_that_was_edited_is_not_followed(tmp_path: Path) -> None:
    async with serving(tmp_path) as (gw, provider):
        by_hand(
            tmp_path,
            """UPDATE revisions SET snapshot = replace(snapshot, '"model": "m"', '"model": "dear"')""",
            "UPDATE epochs SET routes = routes + 1",
        )
        assert (await gw.chat()).status_code == 200
        assert provider.seen[-1].json["model"] == "m"
        assert (await alert(gw)).text.startswith("revision 1 of the routes was changed")


async def test_prices_that_were_edited_are_not_charged_by(tmp_path: Path) -> None:
    async with serving(tmp_path) as (gw, _):
        by_hand(
            tmp_path,
            "UPDATE prices SET rates = '{\"input\": [[0, 0]]}' WHERE upstream = 'up'",
            "UPDATE epochs SET prices = prices + 1",
        )
        assert (await gw.chat()).status_code == 200
        first, second = await gw.rows(2)
        assert first["cost_pico"] == second["cost_pico"]
        assert (await alert(gw)).text.startswith("the price of m ")


async def test_a_price_that_was_removed_raises_an_alert_about_the_whole_database(tmp_path: Path) -> None:
    async with serving(tmp_path) as (gw, _):
        by_hand(tmp_path, "DELETE FROM prices WHERE upstream = 'up'", "UPDATE epochs SET prices = prices + 1")
        assert "put back or removed" in (await alert(gw, "tampered_database")).text


async def test_an_upstream_that_was_edited_is_out_of_service(tmp_path: Path) -> None:
    async with serving(tmp_path) as (gw, provider):
        by_hand(tmp_path, "UPDATE credentials SET weight = 9", "UPDATE epochs SET upstreams = upstreams + 1")
        assert (await gw.chat()).status_code == 503
        assert len(provider.seen) == 1


async def test_the_switch_that_stops_everybody_is_not_turned_back_by_hand(tmp_path: Path) -> None:
    async with serving(tmp_path) as (gw, provider):
        gw.home.stops.suspend_everybody()
        assert (await gw.chat()).status_code != 200
        by_hand(tmp_path, "UPDATE gateway SET suspended = 0", KEYS)
        assert (await gw.chat()).status_code != 200
        assert len(provider.seen) == 1


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        ("UPDATE revisions SET snapshot = '{\"routes\": []}'", "revision 1 of the routes"),
        ("UPDATE prices SET rates = '{}' WHERE upstream = 'up'", "the price of m"),
    ],
)
async def test_a_gateway_does_not_start_on_routes_or_prices_that_were_edited(
    tmp_path: Path, edit: str, named: str
) -> None:
    home = new_home(tmp_path / "home")
    home.upstreams.create("up", "custom", base_url="http://127.0.0.1:9/v1", secret=None, allow_private=True)
    home.routes.set("m", [Target("up", "m")])
    home.prices.set_own("up", "m", Rates(input=flat(DOLLAR_PER_MILLION), output=flat(0)))
    by_hand(tmp_path, edit)
    with pytest.raises(Tampered, match=f"{named}.*nothing is served by it"):
        Tables(home)
    home.close()


UNSTAMPED = {
    "keys": ("UPDATE keys SET policy = '{}' WHERE name = 'tester'", 401, "key tester was changed"),
    "key_generations": ("UPDATE key_generations SET grace_ms = 1", 401, "key tester was changed"),
    "projects": ("UPDATE projects SET name = 'other'", 401, "project other was changed"),
    "customers": ("UPDATE customers SET multiplier_ppm = 1", 401, "customer default was changed"),
    "gateway": ("UPDATE gateway SET version = 99", 503, "the switch that suspends everybody was changed"),
    "upstreams": ("UPDATE upstreams SET catalogue = 'groq'", 503, "upstream up was changed"),
    "credentials": ("UPDATE credentials SET weight = 9", 503, "credential "),
    "revisions": ("UPDATE revisions SET snapshot = '{}'", 200, "revision 1 of the routes was changed"),
    "prices": ("UPDATE prices SET rates = '{}' WHERE upstream = 'up'", 200, "the price of m "),
}


@pytest.mark.parametrize("table", UNSTAMPED)
async def test_a_row_edited_without_a_word_to_the_proxy_is_noticed_all_the_same(tmp_path: Path, table: str) -> None:
    edit, status, told = UNSTAMPED[table]
    async with serving(tmp_path) as (gw, _):
        by_hand(tmp_path, edit)
        gw.home.clock = Later()
        assert (await alert(gw)).text.startswith(told)
        assert (await gw.chat()).status_code == status


async def test_a_key_whose_row_was_put_right_is_admitted_again_and_its_alert_is_over(tmp_path: Path) -> None:
    async with serving(tmp_path) as (gw, _):
        ((policy,),) = read(tmp_path / "home", "SELECT policy FROM keys")
        by_hand(tmp_path, "UPDATE keys SET policy = '{}'", STAMP, KEYS)
        assert (await gw.chat()).status_code == 401
        await alert(gw)
        write(tmp_path / "home", "UPDATE keys SET policy = ?", policy)
        gw.home.clock = Later()
        await no_alerts(gw)
        assert (await gw.chat()).status_code == 200


async def no_alerts(gw: Running) -> None:
    for _ in range(1000):
        if not await asyncio.to_thread(gw.home.alerts.list):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("an alert stays open")


async def test_alerts_of_an_earlier_process_are_over_once_a_new_one_finds_nothing(tmp_path: Path) -> None:
    home = new_home(tmp_path / "home")
    for kind, scope in (("tampered_database", "database"), ("tampered_row", "keys:1")):
        home.alerts.raise_alert(kind, scope, "was changed")
    async with running(home) as gw:
        await no_alerts(gw)


async def test_alerts_of_an_earlier_process_stay_open_while_they_hold(tmp_path: Path) -> None:
    home = new_home(tmp_path / "home")
    home.keys.create("other")
    by_hand(tmp_path, "UPDATE keys SET policy = '{}'")
    for scope in ("keys:1", "keys:99"):
        home.alerts.raise_alert("tampered_row", scope, "was changed")
    vouching = Vouching(home, home.seals.guard(), lambda names: None)
    vouching()
    assert [found.scope for found in home.alerts.list()] == ["keys:1"]
    home.close()


async def test_a_gateway_that_does_not_start_for_tampering_leaves_an_alert(tmp_path: Path) -> None:
    home = new_home(tmp_path / "home")
    home.upstreams.create("up", "custom", base_url="http://127.0.0.1:9/v1", secret=None, allow_private=True)
    home.routes.set("m", [Target("up", "m")])
    by_hand(tmp_path, "UPDATE revisions SET snapshot = '{}'")
    with pytest.raises(Tampered):
        async with running(home):
            pass
    (found,) = home.alerts.list()
    assert (found.kind, found.scope) == ("tampered_database", "database")
    assert found.text.startswith("the gateway did not start: revision 1 of the routes was changed")
    home.close()


@pytest.mark.parametrize("mark", ["left", "removed"])
async def test_a_journal_that_is_cut_under_a_running_gateway_raises_an_alert_that_stays(
    tmp_path: Path, mark: str
) -> None:
    async with serving(tmp_path) as (gw, _):
        journal = gw.home.paths.journal_file
        whole = journal.read_bytes()
        journal.write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
        if mark == "removed":
            journal.with_name("journal.jsonl.end").unlink()
        found = await alert(gw, "tampered_database")
        assert (found.scope, "behind entry 2, and was filled again" in found.text) == ("journal", True)
        assert journal.read_bytes() == whole
