"""What a worker sees of its accounts, upstreams, prices and ledger, and in which words it tells."""

from __future__ import annotations

import pytest

from keyvault.clock import from_ms, to_ms
from keyvault.domain.balances import Balance
from keyvault.domain.budgets import Budget, Period
from keyvault.domain.routes import Target
from keyvault.domain.scopes import ScopeKind, ScopeRef
from keyvault.metering.account import Account
from keyvault.proxy import sights
from keyvault.proxy.noticed import MOST, Noticed

USD = 10**12
ACME = ScopeRef(ScopeKind.CUSTOMER, 1, "acme")


def budget(spent_usd: float, *, model: str = "", env: str = "live", period: Period = Period.MONTH) -> Account:
    rule = Budget(1, ACME, model, env, period, "UTC", 10 * USD, True, (50, 80, 100), from_ms(0))
    start, end = period.window(1_790_856_000_000, "UTC")
    return Account(rule, 10 * USD, int(spent_usd * USD), from_ms=start, until_ms=end)


def balance(left_usd: float, low_usd: int | None = None, env: str = "live") -> Account:
    low = None if low_usd is None else low_usd * USD
    funded = Balance(
        id=1,
        scope=ACME,
        env=env,
        funded_pico=10 * USD,
        charged_pico=0,
        doubt_pico=0,
        low_pico=low,
        created_at=from_ms(0),
    )
    return Account(funded, 10 * USD, int((10 - left_usd) * USD), held_pico=5 * USD)


def seen(*accounts: Account) -> list[tuple[str, str]]:
    return [sight.of for sight in sights.accounts(accounts)]


@pytest.mark.parametrize(
    ("usd", "percents"), [(4.99, []), (5, ["50%"]), (9.9, ["50%", "80%"]), (12, ["50%", "80%", "100%"])]
)
def test_a_budget_is_seen_at_each_threshold_it_has_reached(usd: float, percents: list[str]) -> None:
    assert seen(budget(usd)) == [("budget_threshold", f"customer:acme month {percent}") for percent in percents]


def test_it_is_told_who_how_much_of_what_and_until_when() -> None:
    sight = next(sights.accounts([budget(8.5, model="gpt-5*", env="test")]))
    assert sight.scope == "customer:acme gpt-5* test month 50%"
    assert "has spent 50% of its budget: 8.5 of 10 USD per month, until 2026-11-01T00:00:00.000Z" in sight.text
    assert "what goes beyond is refused" in sight.text
    assert sight.once_since_ms == to_ms(from_ms(1_790_812_800_000))
    assert "10 USD in total; what" in next(sights.accounts([budget(9, period=Period.TOTAL)])).text


def test_a_balance_is_low_at_its_mark_and_empty_at_nothing_whatever_is_held() -> None:
    assert seen(balance(3), balance(3, low_usd=2)) == []
    assert seen(balance(2, low_usd=2)) == [("balance_low", "customer:acme")]
    assert seen(balance(0)) == [("balance_empty", "customer:acme")]
    assert seen(balance(-1, low_usd=2, env="test")) == [
        ("balance_empty", "customer:acme test"),
        ("balance_low", "customer:acme test"),
    ]


@pytest.mark.parametrize(("doubt", "is_seen"), [(1, False), (1.01, True)])
def test_a_balance_of_which_more_than_a_tenth_is_in_doubt_is_seen(doubt: float, is_seen: bool) -> None:
    prepaid = balance(5)
    prepaid.doubt_pico = int(doubt * USD)
    assert seen(prepaid) == ([("balance_in_doubt", "customer:acme")] if is_seen else [])


def test_an_upstream_that_fails_is_one_thing_however_many_of_its_targets_fail() -> None:
    opened = {
        Target("openai", "gpt-5"): "http_500",
        Target("groq", "x"): "timeout",
        Target("openai", "gpt-4"): "http_500",
    }
    found = {sight.scope: sight.text for sight in sights.upstreams(opened)}
    assert set(found) == {"upstream:openai", "upstream:groq"}
    assert "openai fails with gpt-4, gpt-5: http_500" in found["upstream:openai"]


def test_a_ledger_is_stalled_when_it_has_not_got_on_for_some_looks() -> None:
    ledger = sights.LedgerSight()

    def look(*, healthy: bool = True, depth: int = 0, written: int = 0) -> bool:
        return bool(list(ledger.look(healthy=healthy, depth=depth, written=written)))

    assert not any(look(depth=5, written=number) for number in range(10))  # busy
    assert not any(look(depth=0, written=9) for _ in range(10))  # idle
    assert [look(depth=5, written=9) for _ in range(4)] == [False, False, True, True]
    assert not look(depth=5, written=10)
    assert [look(healthy=False, written=10) for _ in range(3)] == [False, False, True]


def test_what_requests_notice_is_kept_once_each_and_not_without_bound() -> None:
    noticed = Noticed()
    for number in range(2 * MOST):
        noticed.note("cost_beyond_hold", f"key:{number}", "first")
        noticed.note("cost_beyond_hold", "key:0", "newest")
    taken = noticed.take()
    assert len(taken) == MOST
    assert taken["cost_beyond_hold", "key:0"] == "newest"
    assert noticed.take() == {}
