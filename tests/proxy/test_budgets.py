"""Budgets at work: set while serving, they count, warn, refuse; alerts come and go by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from keyvault.domain.alerts import Alert
from keyvault.domain.budgets import Period
from keyvault.domain.scopes import parse_scope
from keyvault.metering.budgets import Terms
from tests.proxy.harness import Running
from tests.proxy.scripted import Line, Seen, chunk
from tests.proxy.test_alerting import Receiver, receiving
from tests.proxy.test_gateway import answer_well, gateway

USD = 10**12
MICRO = 10**6
"""Pico-dollars in a millionth of a dollar, which is what a token of input costs here."""
TESTER = parse_scope("key:tester")


async def until(is_so: Callable[[], bool]) -> None:
    for _ in range(1000):
        if is_so():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about")


def alerts_of(gw: Running, kind: str, *, over: bool = False) -> list[Alert]:
    found = [alert for alert in gw.home.alerts.list(resolved=True) if alert.kind == kind]
    return [alert for alert in found if (alert.resolved_at is not None) is over]


def told(receiver: Receiver, kind: str) -> list[object]:
    return [message["state"] for message in receiver.messages if message["kind"] == kind]


async def test_a_budget_warns_at_its_threshold_refuses_at_its_end_and_all_of_it_is_over_when_it_is_raised(
    tmp_path: Path,
) -> None:
    async with (
        receiving(503) as receiver,
        gateway(tmp_path, answer_well, GWCTL_ALERTS_WEBHOOK=receiver.url) as (gw, _),
    ):
        assert (await gw.chat(max_tokens=5)).status_code == 200
        spent = gw.home.budgets.set(TESTER, Terms(USD, Period.MONTH, hard=False)).spent_pico
        assert spent > 0  # before there was a budget
        gw.home.budgets.set(TESTER, Terms(spent + MICRO, Period.MONTH))
        assert (await gw.chat(max_tokens=5)).status_code == 200  # it is soft
        gw.home.budgets.set(TESTER, Terms(spent + MICRO, Period.MONTH, hard=True))
        refused = await gw.chat(max_tokens=5)
        assert (refused.status_code, refused.json()["error"]["code"]) == (402, "insufficient_quota")
        await until(lambda: len(alerts_of(gw, "budget_threshold")) == 2)
        low, full = sorted(alerts_of(gw, "budget_threshold"), key=lambda alert: len(alert.scope))
        assert (low.scope, full.scope) == ("key:tester month 80%", "key:tester month 100%")
        assert "key:tester has spent 80% of its budget" in low.text
        gw.home.budgets.set(TESTER, Terms(USD, Period.MONTH))
        assert (await gw.chat(max_tokens=5)).status_code == 200
        await until(lambda: not alerts_of(gw, "budget_threshold"))
        await until(lambda: told(receiver, "budget_threshold").count("resolved") == 2)


async def test_a_model_without_a_price_is_told_of_once_until_it_has_one(tmp_path: Path) -> None:
    async with gateway(tmp_path, answer_well) as (gw, _):
        for _ in range(2):
            assert (await gw.chat(model="unpriced-9")).status_code == 200
        await until(lambda: bool(alerts_of(gw, "price_missing")))
        assert [(a.scope, a.count) for a in alerts_of(gw, "price_missing")] == [("target:up0/unpriced-9", 1)]
        gw.home.prices.set_own("up0", "unpriced-9", gw.home.prices.show("up0", "m").rates)
        await until(lambda: bool(alerts_of(gw, "price_missing", over=True)))


async def test_what_requests_under_way_hold_is_seen_from_outside(tmp_path: Path) -> None:
    may_end = asyncio.Event()

    async def slow(_seen: Seen, line: Line) -> None:
        await line.begin_stream()
        await line.event(chunk({"content": "word"}))
        await may_end.wait()
        await line.event("[DONE]")
        await line.end_stream()

    async with gateway(tmp_path, slow) as (gw, _):
        gw.home.budgets.set(TESTER, Terms(USD, Period.TOTAL))
        request = asyncio.create_task(gw.chat(stream=True, max_tokens=100))
        await until(lambda: (gw.home.budgets.show(TESTER).held_pico or 0) >= 200 * MICRO)
        may_end.set()
        await request
        await until(lambda: gw.home.budgets.show(TESTER).held_pico == 0)
        assert gw.home.budgets.show(TESTER).spent_pico > 0


async def test_a_soft_budget_leaves_every_charge_as_it_is(tmp_path: Path) -> None:
    """Whether or not what the request may cost has a bound: nothing is held to a hold that only warns."""
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}]
    async with gateway(tmp_path, answer_well) as (gw, _):
        gw.home.budgets.set(TESTER, Terms(USD, Period.MONTH, hard=False))
        await gw.chat()
        await gw.chat(max_tokens=1)  # and the provider takes more
        await gw.chat(messages=image)
        rows = await gw.rows(3)
    assert [(row["charge_pico"], row["doubt_pico"], row["hold_pico"]) for row in rows] == [
        (row["cost_pico"], 0, None) for row in rows
    ]
    assert all(row["cost_pico"] for row in rows)
