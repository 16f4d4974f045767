"""The worst case of a call as a line over its cap, and what of it so much money buys."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyvault.clock import from_ms
from keyvault.domain.balances import Balance
from keyvault.domain.ledger import Usage
from keyvault.domain.prices import Rates, charge, cost, flat
from keyvault.domain.scopes import ScopeKind, ScopeRef
from keyvault.metering.account import Account, Hold, Shortage
from keyvault.metering.bounds import Worst, worst
from keyvault.proxy.dialects.shape import Shape
from keyvault.proxy.terms import PPM, Terms

rates = st.builds(
    Rates,
    input=st.builds(flat, st.integers(0, 10**14)),
    cached_input=st.none() | st.builds(flat, st.integers(0, 10**14)),
    cache_write=st.none() | st.builds(flat, st.integers(0, 10**14)),
    output=st.builds(lambda low, high: ((0, low), (1000, high)), st.integers(0, 10**14), st.integers(0, 10**14)),
    reasoning=st.none() | st.builds(flat, st.integers(0, 10**14)),
    per_call=st.none() | st.integers(0, 10**12),
)
multipliers = st.integers(1, 10 * PPM)


def terms(line: Worst | None, multiplier_ppm: int = PPM, cap: int | None = None, excess: int = 0) -> Terms:
    return Terms(Shape(10, 0, 1, cap, (), settable=True), None, line, multiplier_ppm, 4096, "max_tokens", excess)


@given(rates, st.integers(1, 5000), st.integers(0, 5000), st.integers(1, 4), multipliers, st.data())
def test_no_call_within_its_cap_is_charged_more_than_its_hold(
    prices: Rates, size: int, cap: int, choices: int, multiplier: int, data: st.DataObject
) -> None:
    line = worst(prices, size, choices)
    assert line is not None
    entered = data.draw(st.integers(0, size))
    cached = data.draw(st.integers(0, entered))
    written = data.draw(st.integers(0, entered - cached))
    left = data.draw(st.integers(0, cap * choices))
    reasoning = data.draw(st.integers(0, left))
    usage = Usage(entered, cached, written, output=left, reasoning=reasoning)
    took, held = cost(prices, usage), terms(line, multiplier).charge_at(cap)
    assert took is not None
    assert held is not None
    assert charge(took, multiplier) <= held


@given(rates, st.integers(1, 5000), st.integers(1, 4), multipliers, st.integers(0, 10**16), st.integers(0, 100))
def test_the_cap_that_money_buys_is_the_highest_that_it_covers(
    prices: Rates, size: int, choices: int, multiplier: int, money: int, excess: int
) -> None:
    line = worst(prices, size, choices)
    assert line is not None
    found = terms(line, multiplier, excess=excess)
    cap = found.buys(money)
    if cap is None:
        assert not line.per_token
    elif cap >= 0:
        covered, dearer = found.charge_at(cap), found.charge_at(cap + 2)
        assert covered is not None
        assert dearer is not None
        assert covered <= money < dearer + multiplier // PPM + 2


def test_a_line_says_where_there_is_no_bound() -> None:
    assert worst(Rates(output=flat(5)), 10, 1) is None
    line = worst(Rates(flat(10**6), output=flat(10**6)), 10, 1)
    assert line is not None
    assert line.at(None) is None
    assert terms(line).unbounded is None, "a cap can be set"
    assert terms(None).unbounded == "model"
    assert line.buys(-1) == -1


@given(
    st.none() | st.builds(Worst, st.integers(0, 10**9), st.integers(0, 3)),
    st.none() | st.integers(0, 50),
    st.booleans(),
    st.none() | st.just("tools"),
    st.none() | st.integers(0, 10**9),
    st.integers(0, 9),
)
def test_what_has_a_cost_has_a_bound_and_costs_most_with_the_callers_own_cap(
    line: Worst | None, cap: int | None, settable: bool, unbounded: str | None, own_bound: int | None, excess: int
) -> None:
    shape = Shape(10, 0, 1, cap, (), settable, 1, unbounded)
    found = Terms(shape, None, line, PPM, 4096, "max_tokens", excess, own_bound)
    lowered = None if cap is None else found.cost_at(cap)
    assert found.cost_at(None) == found.charge_at(None) == found.cost
    assert cap is None or found.cost == lowered
    assert found.cost is None or found.unbounded is None
    if cap is None and own_bound is None and line is not None and unbounded is None:
        assert found.cost == line.at(None)


def test_a_price_by_the_call_or_image_alone_says_the_worst_case_too() -> None:
    assert worst(Rates(images=flat(7 * 10**6)), 10, 2) == Worst(14 * 10**6, 0)
    by_call = worst(Rates(per_call=5, output=flat(3)), 10, 2)
    assert by_call == Worst(5 * 10**6, 6)


def test_only_rates_that_a_body_can_meet_count() -> None:
    claude = Rates(((0, 3), (200_000, 6)), cache_write=flat(4), cache_write_1h=((0, 6), (200_000, 12)), output=flat(15))
    assert worst(claude, 1000, 1, writes_cache=False) == Worst(3000, 15)
    assert worst(claude, 1000, 1) == Worst(6000, 15)
    assert worst(claude, 200_000, 1, writes_cache=False) == Worst(600_000, 15)
    assert worst(claude, 200_001, 1) == Worst(12 * 200_001, 15)


def test_a_lowered_cap_is_written_where_the_caller_wrote_his_or_where_the_provider_reads_one() -> None:
    line = Worst(0, 1)
    assert terms(line).written(5) == {"max_tokens": 5}
    given_both = Terms(
        Shape(1, 0, 1, 9, ("max_tokens", "max_completion_tokens"), True), None, line, PPM, 4096, "max_tokens"
    )
    assert given_both.written(5) == {"max_tokens": 5, "max_completion_tokens": 5}
    assert given_both.written(9) == {}


@given(
    st.lists(
        st.tuples(st.integers(0, 400), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 300)), max_size=3)),
        max_size=12,
    )
)
def test_whatever_requests_do_nothing_stays_held_and_no_balance_is_overspent(
    requests: list[tuple[int, list[tuple[int, int]]]],
) -> None:
    """Each request holds, has further attempts with a hold and a cost of their own, and ends; three at a time."""
    accounts = [account(1000), account(700)]
    under_way: list[Hold] = []
    for first, attempts in requests:
        hold = Hold(accounts)
        under_way.append(hold)
        with contextlib.suppress(Shortage):
            hold.grow_to(first)
            for more, took in attempts:
                hold.spend(min(took, hold.pico))
                hold.grow_to(more)
        if len(under_way) == 3:
            under_way.pop(0).release()
        assert all(each.spent_pico + each.held_pico <= each.limit_pico for each in accounts)
    for hold in under_way:
        hold.release()
        hold.release()
    assert [each.held_pico for each in accounts] == [0, 0]


def account(limit_pico: int) -> Account:
    scope = ScopeRef(ScopeKind.CUSTOMER, 1, "acme")
    return Account(Balance(1, scope, "live", limit_pico, 0, 0, None, from_ms(0)), limit_pico)


def test_a_balance_that_is_exceeded_all_the_same_covers_nothing_more() -> None:
    short = account(100)
    hold = Hold([short])
    hold.grow_to(100)
    hold.spend(130)
    hold.release()
    with pytest.raises(Shortage):
        Hold([short]).grow_to(1)
    assert short.available_pico == -30
