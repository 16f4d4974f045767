"""Keys expire by a time that a changed clock cannot turn back, and that asks before it expires many at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyvault.clock import Clock
from keyvault.errors import Conflict
from keyvault.proxy.timekeeper import MANY, Timekeeper

START = 1_790_856_000_000
SECOND, HOUR, DAY = 1000, 3_600_000, 86_400_000
YEARS = 3650 * DAY


class TwoClocks(Clock):
    """A wall clock that can be set, beside a monotonic one that cannot."""

    def __init__(self) -> None:
        self.wall = START
        self.passed = 0

    def now_ms(self) -> int:
        return self.wall

    def monotonic(self) -> float:
        return self.passed / 1000

    def advance(self, ms: int) -> None:
        self.wall += ms
        self.passed += ms


def nobody(_after: int, _until: int) -> int:
    return 0


def everybody(_after: int, _until: int) -> int:
    return MANY + 1


def test_a_clock_that_runs_is_believed() -> None:
    clock = TwoClocks()
    keeper = Timekeeper(clock, None, everybody)
    for _ in range(100):
        clock.advance(HOUR // 2)
        keeper.tick()
        assert keeper.now_ms() == clock.wall
        assert keeper.doubt is None


def test_a_clock_put_back_by_a_day_revives_nothing() -> None:
    clock = TwoClocks()
    keeper = Timekeeper(clock, None, nobody)
    clock.wall -= DAY
    assert keeper.now_ms() == START
    clock.advance(10 * SECOND)
    assert keeper.now_ms() == START + 10 * SECOND
    assert "put back" in (keeper.doubt or "")


def test_nor_does_it_after_a_restart() -> None:
    clock = TwoClocks()
    remembered = Timekeeper(clock, None, nobody).tick()
    clock.wall -= DAY
    assert Timekeeper(clock, remembered, nobody).now_ms() == START


def test_a_jump_forward_by_which_few_keys_expire_is_believed() -> None:
    clock = TwoClocks()
    keeper = Timekeeper(clock, None, nobody)
    clock.wall += YEARS
    assert keeper.now_ms() == START + YEARS


def test_a_jump_forward_by_which_many_would_expire_asks_first() -> None:
    clock = TwoClocks()
    keeper = Timekeeper(clock, None, everybody)
    clock.wall += YEARS
    clock.advance(5 * SECOND)
    assert keeper.now_ms() == START + 5 * SECOND
    assert "--accept-clock" in (keeper.doubt or "")


def test_a_jump_forward_that_was_put_right_freezes_nothing() -> None:
    clock = TwoClocks()
    keeper = Timekeeper(clock, None, nobody)
    clock.wall += YEARS
    assert keeper.now_ms() == START + YEARS
    clock.wall -= YEARS
    clock.advance(SECOND)
    assert keeper.now_ms() == START + SECOND
    assert keeper.tick() == START + SECOND


def test_after_a_month_off_many_expiries_ask_first_and_few_do_not() -> None:
    clock = TwoClocks()
    clock.wall += 40 * DAY
    with pytest.raises(Conflict, match="40 days ahead"):
        Timekeeper(clock, START, everybody)
    assert Timekeeper(clock, START, nobody).now_ms() == START + 40 * DAY
    assert Timekeeper(clock, START, everybody, accept=True).now_ms() == START + 40 * DAY


def test_a_week_off_is_believed() -> None:
    clock = TwoClocks()
    clock.wall += 7 * DAY
    assert Timekeeper(clock, START, everybody).now_ms() == START + 7 * DAY


@given(st.lists(st.tuples(st.integers(0, 2 * HOUR), st.integers(-2 * YEARS, 2 * YEARS), st.booleans()), max_size=30))
def test_however_the_clock_is_set_the_time_never_falls_below_what_was_confirmed(
    steps: list[tuple[int, int, bool]],
) -> None:
    clock = TwoClocks()
    keeper = Timekeeper(clock, None, everybody)
    confirmed = START
    for passed, jump, ticked in steps:
        clock.advance(passed)
        clock.wall += jump
        if ticked:
            confirmed = START + clock.passed
            assert keeper.tick() == confirmed
        assert keeper.now_ms() >= confirmed
