"""Accounts in memory: never overspent, whatever order holds come and go in, and periods that begin on time."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from keyvault.clock import from_ms, to_ms
from keyvault.domain.balances import Balance
from keyvault.domain.budgets import Budget, Period
from keyvault.domain.scopes import ScopeKind, ScopeRef
from keyvault.metering.account import Account, Hold, Shortage


def budget(number: int = 1, *, amount: int = 1_000, hard: bool = True, period: Period = Period.MONTH) -> Budget:
    scope = ScopeRef(ScopeKind.KEY, number, f"key-{number}")
    return Budget(number, scope, "", "live", period, "UTC", amount, hard, (80, 100), from_ms(0))


def account(number: int = 1, *, amount: int = 1_000, hard: bool = True) -> Account:
    return Account(budget(number, amount=amount, hard=hard), amount)


class Money(RuleBasedStateMachine):
    """Requests on three accounts, one of them soft, in any order that requests can take."""

    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.accounts = [account(1, amount=1_000), account(2, amount=400), account(3, amount=50, hard=False)]
        self.open: list[Hold] = []
        self.spent = [0, 0, 0]

    @rule(target=holds, which=st.sets(st.sampled_from([0, 1, 2])))
    def begin(self, which: set[int]) -> tuple[Hold, tuple[int, ...]]:
        hold = Hold(tuple(self.accounts[i] for i in sorted(which)))
        self.open.append(hold)
        return hold, tuple(sorted(which))

    @rule(of=holds, pico=st.integers(0, 500))
    def grow(self, of: tuple[Hold, tuple[int, ...]], pico: int) -> None:
        hold, _ = of
        before, available = hold.pico, hold.available_pico()
        try:
            hold.grow_to(pico)
        except Shortage:
            assert available is not None
            assert available < pico
            assert hold.pico == before
        else:
            assert available is None or pico <= max(available, before)
            assert hold.pico == max(before, pico)

    @rule(of=holds, part=st.floats(0, 1))
    def spend(self, of: tuple[Hold, tuple[int, ...]], part: float) -> None:
        hold, which = of
        pico = int(hold.pico * part)
        before = hold.pico
        hold.spend(pico)
        assert hold.pico == before - pico
        for i in which:
            self.spent[i] += pico

    @rule(of=holds)
    def end(self, of: tuple[Hold, tuple[int, ...]]) -> None:
        of[0].release()
        assert of[0].pico == 0

    @invariant()
    def hard_ones_are_never_overspent(self) -> None:
        for each in self.accounts:
            assert not each.hard or each.spent_pico + each.held_pico <= each.limit_pico

    @invariant()
    def what_is_held_is_what_the_open_ones_hold(self) -> None:
        for i, each in enumerate(self.accounts):
            assert each.held_pico == sum(hold.pico for hold in self.open if each in hold.accounts)
            assert each.spent_pico == self.spent[i]


TestMoney = Money.TestCase
TestMoney.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


def test_of_several_the_one_with_the_least_left_is_short() -> None:
    least = account(2, amount=30)
    with pytest.raises(Shortage) as caught:
        Hold((account(1, amount=40), least, account(3, amount=5, hard=False))).grow_to(50)
    assert caught.value.account is least


def test_what_goes_beyond_a_hold_is_spent_all_the_same_and_takes_no_more_than_was_held() -> None:
    each = account()
    hold = Hold((each,))
    hold.grow_to(100)
    hold.spend(130)
    assert (each.spent_pico, each.held_pico, hold.pico) == (130, 0, 0)


@pytest.mark.parametrize(
    ("limit", "others_hold", "held", "charged", "doubt", "counts"),
    [
        (1_000, 0, 100, 100, 1_990, 900),  # beyond all there is
        (1_000, 300, 100, 100, 1_990, 600),  # what others hold stays theirs
        (1_000, 0, 100, 0, 100, 100),
        (0, 0, 0, 0, 50, 0),
    ],
)
def test_no_doubt_takes_more_from_a_balance_than_there_is(
    limit: int, others_hold: int, held: int, charged: int, doubt: int, counts: int
) -> None:
    scope = ScopeRef(ScopeKind.CUSTOMER, 1, "acme")
    prepaid = Account(Balance(1, scope, "live", limit, 0, 0, None, from_ms(0)), limit)
    Hold((prepaid,)).grow_to(others_hold)
    hold = Hold((account(amount=200), prepaid))
    hold.grow_to(held)
    assert hold.doubt(charged, doubt) == counts
    hold.spend(charged + counts)
    assert prepaid.available_pico >= 0
    assert Hold((account(),)).doubt(0, doubt) == doubt, "a budget's doubt ends with its period"


def test_a_soft_budget_bounds_nothing() -> None:
    soft = account(amount=10, hard=False)
    hold = Hold((soft,))
    assert hold.available_pico() is None
    hold.grow_to(1_000)
    assert soft.held_pico == 1_000


def test_of_a_budget_that_nobody_vouches_for_nothing_is_covered_even_if_it_says_soft() -> None:
    doubted = Account(budget(hard=False), 0, doubted=True)
    with pytest.raises(Shortage):
        Hold((doubted,)).grow_to(1)


ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kathmandu",  # 5:45
    "Asia/Kolkata",  # 5:30
    "Australia/Lord_Howe",  # summer time of half an hour
    "Pacific/Chatham",  # 12:45, and summer time
    "America/Santiago",  # summer begins at midnight: a day that has none
    "Africa/Cairo",
    "Pacific/Apia",
)
MOMENTS = st.integers(to_ms(datetime(2024, 1, 1, tzinfo=UTC)), to_ms(datetime(2029, 1, 1, tzinfo=UTC)))


@given(MOMENTS, st.sampled_from(ZONES), st.sampled_from([p for p in Period if p is not Period.TOTAL]))
@example(to_ms(datetime(2026, 10, 3, 15, 40, tzinfo=UTC)), "Australia/Lord_Howe", Period.HOUR)
@example(to_ms(datetime(2026, 4, 4, 15, 10, tzinfo=UTC)), "Australia/Lord_Howe", Period.HOUR)
@example(to_ms(datetime(2026, 4, 5, 2, 30, tzinfo=UTC)), "America/Santiago", Period.DAY)
def test_periods_follow_each_other_without_gap_or_overlap(ms: int, zone: str, period: Period) -> None:
    start, end = period.window(ms, zone)
    assert end is not None
    assert start <= ms < end
    assert period.window(start, zone) == period.window(end - 1, zone) == (start, end)
    assert period.window(end, zone)[0] == end
    assert period.window(start - 1, zone)[1] == start


@given(MOMENTS, st.sampled_from(ZONES))
def test_every_period_begins_on_a_quarter_of_an_hour_where_totals_are_exact(ms: int, zone: str) -> None:
    for period in Period:
        assert period.window(ms, zone)[0] % (15 * 60_000) == 0


@given(MOMENTS, st.sampled_from(ZONES))
def test_a_day_begins_with_the_first_moment_of_its_date(ms: int, zone: str) -> None:
    start, _ = Period.DAY.window(ms, zone)
    dates = [from_ms(at).astimezone(ZoneInfo(zone)).date() for at in (start - 1, start, ms)]
    assert dates[0] < dates[1] == dates[2]


@pytest.mark.parametrize(
    ("zone", "at", "period", "hours"),
    [
        ("Europe/Berlin", "2026-03-29T12:00+02:00", Period.DAY, 23),
        ("Europe/Berlin", "2026-10-25T12:00+01:00", Period.DAY, 25),
        ("Europe/Berlin", "2026-10-21T12:00+02:00", Period.WEEK, 7 * 24 + 1),
        ("Europe/Berlin", "2026-03-15T12:00+01:00", Period.MONTH, 31 * 24 - 1),
        ("Australia/Lord_Howe", "2026-10-04T12:00+11:00", Period.DAY, 23.5),
        ("America/Santiago", "2026-09-06T12:00-03:00", Period.DAY, 23),
        ("Asia/Kathmandu", "2026-11-22T19:24Z", Period.HOUR, 1),
    ],
)
def test_days_weeks_and_months_are_as_long_as_clocks_make_them(
    zone: str, at: str, period: Period, hours: float
) -> None:
    start, end = period.window(to_ms(datetime.fromisoformat(at)), zone)
    assert end is not None
    assert (end - start) / 3_600_000 == hours


def test_an_hour_of_kathmandu_begins_at_a_quarter_past_in_utc() -> None:
    start, _ = Period.HOUR.window(to_ms(datetime(2026, 11, 22, 19, 24, tzinfo=UTC)), "Asia/Kathmandu")
    assert from_ms(start) == datetime(2026, 11, 22, 19, 15, tzinfo=UTC)
