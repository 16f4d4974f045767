"""`GET /gateway/v1/usage`: what the holder of a key sees of its use, its limits and its money, and of nobody else's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from keyvault.clock import Clock
from keyvault.domain.budgets import parse_budget
from keyvault.domain.keys import Policy, PolicyChange
from keyvault.domain.limits import LimitChange
from keyvault.domain.scopes import parse_scope
from keyvault.home import Home
from keyvault.metering.budgets import Terms
from keyvault.money import format_usd
from tests.proxy.harness import Running, add_upstream, new_home, running
from tests.proxy.scripted import Line, Provider, Seen, completion

# Each answer costs 13 millionths of a dollar: seven tokens at a dollar a million, three at two.


async def answer(seen: Seen, line: Line) -> None:
    await line.answer(200, completion(model="m"))


@pytest.fixture
async def gw(tmp_path: Path) -> AsyncIterator[Running]:
    async with Provider(answer).running() as provider:
        home = new_home(tmp_path / "home")
        add_upstream(home, "up", provider.url)
        home.customers.create("acme")
        home.customers.create_project("acme/web")
        async with running(home) as serving:
            yield serving


async def usage(gw: Running, key: str | None = None, **headers: str) -> dict[str, Any]:
    response = await asked(gw, key, **headers)
    assert response.status_code == 200, response.text
    assert response.headers["x-request-id"]
    found: dict[str, Any] = response.json()
    return found


async def asked(gw: Running, key: str | None = None, method: str = "GET", **headers: str) -> httpx.Response:
    sent = {f"x-gateway-{name}": value for name, value in headers.items()}
    sent["authorization"] = f"Bearer {key or gw.key}"
    return await gw.client.request(method, "/gateway/v1/usage", headers=sent)


def own_key(gw: Running, name: str, project: str = "acme/web", **policy: Any) -> str:
    return gw.home.keys.create(name, project=project, policy=Policy(**policy)).secret.reveal()


async def test_a_key_sees_what_it_used_itself_today_and_this_month_and_nobody_else(gw: Running) -> None:
    other = own_key(gw, "other")
    for key in (gw.key, gw.key, other):
        assert (await gw.chat(key=key)).status_code == 200
    seen = await usage(gw)
    assert (seen["key"], seen["env"], seen["payer"], seen["currency"]) == ("tester", "live", "default/default", "USD")
    day, month = seen["usage"]
    assert (day["period"], month["period"]) == ("day", "month")
    assert {name: day[name] for name in ("requests", "errors", "input_tokens", "output_tokens", "charge")} == {
        "requests": 2,
        "errors": 0,
        "input_tokens": 14,
        "output_tokens": 6,
        "charge": "0.000026",
    }
    assert month["requests"] == 2
    assert (seen["limits"], seen["budgets"], seen["balance"]) == ([], [], None)
    assert "cost" not in day
    assert "other" not in str(seen)


async def test_what_it_cost_is_shown_to_keys_that_may_see_costs_alone(gw: Running) -> None:
    gw.home.keys.update("tester", policy=PolicyChange(expose=True))
    await gw.chat()
    assert (await usage(gw))["usage"][0]["cost"] == "0.000013"


async def test_limits_budgets_and_the_balance_that_its_requests_draw_on_are_shown(gw: Running) -> None:
    key = own_key(gw, "app")
    own, customer = parse_scope("key:app"), parse_scope("customer:acme")
    gw.home.limits.set(own, LimitChange(rpm=60, tpm=100_000))
    gw.home.limits.set(parse_scope("key:tester"), LimitChange(rpm=5))
    gw.home.budgets.set(own, Terms(*parse_budget("2usd/month")))
    gw.home.budgets.set(customer, Terms(*parse_budget("1usd/total"), model="gpt-*", hard=False))
    gw.home.balances.top_up(customer, 10**12, "paid")
    assert (await gw.chat(key=key, max_tokens=5)).status_code == 200
    seen = await usage(gw, key)
    assert seen["limits"] == [{"scope": "key:app", "model": None, "rpm": 60, "tpm": 100_000, "parallel": None}]
    monthly, total = seen["budgets"]
    assert monthly["until"] > monthly["since"]
    told = ("scope", "model", "period", "hard", "amount", "spent", "held", "remaining")
    assert [monthly[name] for name in told] == ["key:app", None, "month", True, "2", "0.000013", "0", "1.999987"]
    assert [total[name] for name in told] == ["customer:acme", "gpt-*", "total", False, "1", "0", "0", "1"]
    assert (total["since"], total["until"]) == (None, None)
    assert seen["balance"] == {"scope": "customer:acme", "in_doubt": "0", "held": "0", "available": "0.999987"}


async def test_a_key_that_may_name_payers_sees_what_it_used_for_one_and_what_that_one_has_left(gw: Running) -> None:
    key = own_key(gw, "app", "default/default", attribute="customers")
    gw.home.balances.top_up(parse_scope("customer:acme"), 10**12, "paid")
    body = {"model": "m", "max_tokens": 5, "messages": []}
    named = {"authorization": f"Bearer {key}", "x-gateway-customer": "acme"}
    assert (await gw.client.post("/v1/chat/completions", json=body, headers=named)).status_code == 200
    assert (await gw.chat(key=key)).status_code == 200
    everything = await usage(gw, key)
    assert (everything["payer"], everything["usage"][0]["requests"]) == ("default/default", 2)
    assert everything["balance"] is None
    for_acme = await usage(gw, key, customer="acme")
    assert (for_acme["payer"], for_acme["usage"][0]["requests"]) == ("acme/web", 1)
    assert for_acme["balance"]["available"] == "0.999987"
    assert (await usage(gw, key, project="default"))["usage"][0]["requests"] == 1
    refused = await asked(gw, customer="acme")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "attribution_not_allowed")


async def test_it_is_authenticated_like_any_request_and_answers_nothing_else(gw: Running) -> None:
    assert (await asked(gw, "sk-gw_live_nobody")).json()["error"]["code"] == "invalid_api_key"
    narrow = own_key(gw, "narrow", models=("gpt-5",), endpoints=("embeddings",))
    assert (await usage(gw, narrow))["usage"][0]["requests"] == 0
    elsewhere = own_key(gw, "elsewhere", addresses=("192.0.2.0/24",))
    assert (await asked(gw, elsewhere)).status_code == 403
    head, refused = await asked(gw, method="HEAD"), await asked(gw, method="POST")
    assert (head.status_code, head.content) == (200, b"")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    assert (await gw.client.get("/gateway/v1/usage/x", headers=gw.headers())).status_code == 404
    assert await gw.rows(0) == []


async def test_what_is_not_known_of_a_charge_is_null_and_never_nothing(gw: Running) -> None:
    assert (await gw.chat(model="unpriced")).status_code == 200
    [day, _] = (await usage(gw))["usage"]
    assert (day["requests"], day["charge"], day["unknown_charges"]) == (1, None, 1)


async def test_what_a_failed_attempt_may_have_cost_is_in_doubt_and_no_unknown_charge(tmp_path: Path) -> None:
    async def breaks_first(seen: Seen, line: Line) -> None:
        if len(provider.seen) == 1:
            line.cut()
        else:
            await answer(seen, line)

    provider = Provider(breaks_first)
    async with provider.running():
        home = new_home(tmp_path / "home")
        add_upstream(home, "up", provider.url)
        home.budgets.set(parse_scope("customer:default"), Terms(*parse_budget("1usd/month")))
        async with running(home) as gw:
            assert [(await gw.chat(max_tokens=5)).status_code for _ in range(2)] == [502, 200]
            doubt = (await gw.rows(2))[0]["doubt_pico"]
            seen = await usage(gw)
            told = [seen["usage"][0][name] for name in ("charge", "unknown_charges", "in_doubt")]
            assert told == ["0.000013", 0, format_usd(doubt)]
            spent = doubt + 13 * 10**6
            assert [seen["budgets"][0][name] for name in ("spent", "in_doubt")] == [
                format_usd(spent),
                format_usd(doubt),
            ]


class Standing(Clock):
    """Its seconds do not pass by themselves."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


async def test_who_asks_again_within_a_second_is_told_the_same_without_another_look(tmp_path: Path) -> None:
    clock = Standing()
    async with Provider(answer).running() as provider:
        new_home(tmp_path / "home").close()
        home = Home({"GWCTL_HOME": str(tmp_path / "home")}, clock)
        add_upstream(home, "up", provider.url)
        async with running(home) as gw:
            first = await usage(gw)
            await gw.chat()
            assert (await usage(gw))["usage"] == first["usage"]
            clock.seconds = 1.0
            assert (await usage(gw))["usage"][0]["requests"] == 1
