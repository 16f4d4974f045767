"""What Prometheus is told: money, limits, breakers and latencies, with bounded labels."""

from __future__ import annotations

from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from keyvault.domain.ledger import Outcome
from keyvault.domain.limits import LimitChange
from keyvault.domain.routes import Target
from keyvault.domain.scopes import parse_scope
from keyvault.money import PICO_PER_USD
from keyvault.proxy.metrics import MAX_TARGETS, OTHER, Metrics
from tests.ledgers import attempt, settlement
from tests.proxy.harness import Running, add_upstream, new_home, running
from tests.proxy.scripted import Line, Provider, Seen, completion

Samples = dict[tuple[str, ...], float]
"""Name and label values → value."""


async def by_model(seen: Seen, line: Line) -> None:
    """Answers well, but for the model that is broken."""
    broken = seen.json["model"] == "broken"
    await line.answer(500 if broken else 200, {"error": {"message": "no"}} if broken else completion())


async def told(gw: Running) -> Samples:
    async with httpx.AsyncClient(trust_env=False, verify=False) as admin:
        text = (await admin.get(f"{gw.admin}/metrics")).text
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_money_limits_breakers_and_latencies_are_told(tmp_path: Path) -> None:
    async with Provider(by_model).running() as provider:
        home = new_home(tmp_path / "home")
        add_upstream(home, "up0", provider.url)
        home.balances.top_up(parse_scope("customer:default"), PICO_PER_USD, "paid")
        async with running(home) as gw:
            limited = gw.new_key("slow")
            home.limits.set(parse_scope("key:slow"), LimitChange(rpm=1))
            for _ in range(2):
                await gw.chat(key=limited, max_tokens=10)
            found = await told(gw)
    charged = 13e-6  # 7 tokens in and 3 out, at one and two dollars a million
    assert found["gateway_charge_usd_total",] == charged
    assert found["gateway_cost_usd_total", "m", "up0"] == charged
    assert found["gateway_limited_total", "requests"] == 1
    assert found["gateway_refusals_total", "rate_limit_exceeded", "429"] == 1
    assert found["gateway_accounts", "balance", "left"] == 1
    assert found["gateway_held_usd", "balance"] == 0
    assert found["gateway_first_content_seconds_count",] == 1


async def test_a_target_that_fails_is_told_by_its_breaker(tmp_path: Path) -> None:
    async with Provider(by_model).running() as provider:
        home = new_home(tmp_path / "home")
        add_upstream(home, "up0", provider.url)
        async with running(home) as gw:
            for _ in range(5):
                await gw.chat(model="broken")
            found = await told(gw)
    assert found["gateway_breaker", "open", "up0/broken"] == 1
    assert ("gateway_breaker", "open", "up0/m") not in found


def test_however_many_models_serve_the_targets_told_are_bounded_and_nothing_is_left_out() -> None:
    metrics = Metrics()
    opened = attempt(0)
    for number in range(MAX_TARGETS + 50):
        metrics.settled(Target("up0", f"model-{number}"), settlement(opened, cost_pico=1))
    metrics.settled(Target("up0", "refused"), settlement(opened, outcome=Outcome.FAILED, cost_pico=1))
    assert len(metrics.targets) == MAX_TARGETS + 1
    assert metrics.targets[OTHER].cost_pico == 51
    assert sum(counts.cost_pico for counts in metrics.targets.values()) == MAX_TARGETS + 51
