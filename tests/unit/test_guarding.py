"""Guards: how they are written, when they look, and what they say of two arms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from keyvault.clock import EPOCH
from keyvault.domain.arms import Arm, Tally
from keyvault.domain.guards import Sort, parse_guard
from keyvault.domain.rollouts import (
    By,
    Judgement,
    Plan,
    Rollout,
    State,
    Verdict,
    checked,
    guards_of,
    parse_by,
    parse_percent,
    parse_steps,
    read,
    written,
)
from keyvault.domain.routes import Target
from keyvault.errors import UsageError
from keyvault.routing import schedule
from keyvault.routing.foresight import Recent, foresee
from keyvault.routing.guarding import judge
from keyvault.routing.schedule import Made
from keyvault.routing.telling import figures

HOUR = 3_600_000
PLAN = Plan(steps=(50_000, 250_000, 1_000_000), guards=guards_of(["error_rate < +1%", "p95 < 1.3x"]), automatic=True)

WRITTEN = [
    ("error_rate < +1%", Sort.MORE, 0.01),
    ("error_rate<2x", Sort.TIMES, 2.0),
    ("error_rate < 5%", Sort.FIXED, 0.05),
    ("left_rate < +0.5%", Sort.MORE, 0.005),
    ("p95 < 1.3x", Sort.TIMES, 1.3),
    ("p99 < +200ms", Sort.MORE, 200.0),
    ("first_content_p50 < 2s", Sort.FIXED, 2000.0),
    ("cost_per_request < 2x", Sort.TIMES, 2.0),
    ("cost_per_request < $0.02", Sort.FIXED, 0.02),
]


@pytest.mark.parametrize(("text", "sort", "bound"), WRITTEN)
def test_a_guard_is_a_measure_and_a_bound(text: str, sort: Sort, bound: float) -> None:
    guard = parse_guard(text)
    assert (guard.sort, guard.bound) == (sort, pytest.approx(bound))
    assert parse_guard(guard.text) == guard


WRONG = """
error_rate; error_rate > 1%; errors < 1%; error_rate < 1; error_rate < 200%; error_rate < 100ms; p95 < 1%; p95 < 0.9x;
p95 < -1x; p95 < 1e9x; p42 < 2x; cost_per_request < +1usd; cost_per_request < 5%;
"""


@pytest.mark.parametrize("text", [text.strip() for text in WRONG.split(";")])
def test_what_is_no_guard_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_guard(text)
    assert caught.value.hint


def test_steps_shares_and_units_are_read_or_refused() -> None:
    assert parse_steps("5,25, 50 ,100") == (50_000, 250_000, 500_000, 1_000_000)
    assert (parse_percent("0.5%"), parse_percent("100")) == (5_000, 1_000_000)
    assert (parse_by("key"), parse_by("header:X-Team")) == ((By.KEY, ""), (By.HEADER, "x-team"))
    for text in ("25,5", "5,5", "0", "101", "x", ""):
        with pytest.raises(UsageError):
            parse_steps(text)
    for text in ("header", "header:", "header:a b", "model", "key:x"):
        with pytest.raises(UsageError):
            parse_by(text)


def test_a_plan_reads_back_as_it_was_written() -> None:
    plan = replace(PLAN, by=By.HEADER, header="x-team", alpha=0.01, looks=4, least=7)
    assert read(written(plan)) == plan


def test_with_everything_at_once_only_a_bound_of_its_own_makes_sense() -> None:
    with pytest.raises(UsageError, match="nothing to compare with"):
        checked(replace(PLAN, steps=(1_000_000,)))
    checked(replace(PLAN, steps=(1_000_000,), guards=guards_of(["error_rate < 5%"])))


def test_who_is_in_at_a_small_share_is_in_at_each_larger_one() -> None:
    small = rollout()
    units = [f"unit-{number}" for number in range(4_000)]
    chosen = {unit for unit in units if small.takes(small.place(unit))}
    more = {unit for unit in units if rollout(step=1).takes(small.place(unit))}
    assert chosen < more
    assert len(chosen) == pytest.approx(200, abs=60)
    assert len(more) == pytest.approx(1_000, abs=120)
    assert all(rollout(step=2).takes(small.place(unit)) for unit in units)
    other = replace(small, salt="another")
    assert {unit for unit in units if other.takes(other.place(unit))} != chosen


# When the guards look


def rollout(step: int = 0, plan: Plan = PLAN, state: State = State.RUNNING) -> Rollout:
    return Rollout(1, "fast", Target("new", "m"), state, plan, "salt", step, EPOCH, EPOCH)


def index_at(ms: int, made: Made = (), ended: int = 100, step: int = 0) -> int | None:
    found = schedule.due(rollout(step), made, ms, lambda: ended)
    return None if found is None else found.index


def test_a_step_is_looked_at_early_then_at_times_that_double_then_once_for_each_length() -> None:
    assert index_at(1_000) == 0
    assert index_at(1_000, ended=9) is None
    assert index_at(1_000, {(0, 0)}) is None
    assert [index_at(HOUR // 16 * part) for part in (1, 2, 4, 8, 16)] == [1, 2, 3, 4, 5]
    assert [index_at(HOUR * hours) for hours in (2, 3, 50)] == [6, 7, 54]
    assert index_at(HOUR, {(0, 5)}) is None
    assert index_at(HOUR // 2, {(0, 1)}) == 4, "what was missed is not made up for"
    assert index_at(HOUR, step=2) is None, "at 100 % nothing is left to compare with"


def test_the_closing_look_sees_the_whole_step_and_later_ones_the_last_length() -> None:
    closing = schedule.due(rollout(), set(), HOUR, lambda: 100)
    later = schedule.due(rollout(), {(0, 5)}, 3 * HOUR, lambda: 100)
    assert closing is not None
    assert later is not None
    assert (closing.closing, closing.since_ms) == (True, 0)
    assert (later.closing, later.since_ms) == (True, 2 * HOUR)


def test_nobody_looks_while_it_is_paused() -> None:
    assert schedule.due(rollout(state=State.PAUSED), set(), HOUR, lambda: 100) is None
    assert schedule.next_ms(rollout(state=State.PAUSED), set(), HOUR) is None


def test_the_next_look_is_told() -> None:
    assert schedule.next_ms(rollout(), set(), 0) == HOUR // 16
    assert schedule.next_ms(rollout(), {(0, 5)}, HOUR) == 2 * HOUR


@pytest.mark.parametrize("plan", [PLAN, replace(PLAN, looks=2), replace(PLAN, looks=12, steps=(10_000,))])
def test_all_looks_of_all_steps_and_guards_share_the_stated_rate(plan: Plan) -> None:
    planned = sum(
        schedule.level(plan, index)
        for step in range(len(plan.steps))
        if schedule.watched(plan, step)
        for index in range(plan.looks)
    )
    made: list[tuple[int, int]] = []
    later = 0.0
    for at in range(400):
        later += schedule.level(plan, plan.looks + at, made)
        made.append((at % 2, plan.looks + at))
    assert (planned + later) * len(plan.guards) == pytest.approx(plan.alpha, rel=2e-3)
    assert (planned + later) * len(plan.guards) <= plan.alpha


# What they say


def arm(served: int, failed: int = 0, ms: Mapping[int, int] | None = None, dollars: float = 0.0) -> Arm:
    return Arm(Tally(served, failed, 0, ms or {100: served}, {}, served, served * dollars, served * dollars**2))


def says(guard: str, baseline: Arm, target: Arm, level: float = 0.001) -> Judgement:
    return judge(parse_guard(guard), baseline, target, level=level, least=50)


def test_nothing_is_said_of_a_few_requests_unless_it_is_plain() -> None:
    assert says("error_rate < +1%", arm(900), arm(10)).verdict is Verdict.TOO_LITTLE
    assert says("error_rate < +1%", arm(900), arm(9, 1)).verdict is Verdict.TOO_LITTLE
    assert says("error_rate < +1%", arm(190), arm(0, 10)).verdict is Verdict.BREACHED
    assert says("error_rate < +1%", arm(0), arm(0)).verdict is Verdict.TOO_LITTLE


def test_errors_are_beside_those_of_the_others_at_the_same_time() -> None:
    outage = arm(500, 500)
    assert says("error_rate < +1%", outage, arm(50, 50)).verdict is Verdict.HOLDS
    assert says("error_rate < 10%", outage, arm(50, 50)).verdict is Verdict.BREACHED
    assert says("error_rate < +1%", arm(1_900, 19), arm(90, 10)).verdict is Verdict.BREACHED
    assert says("error_rate < 2x", arm(1_900, 100), arm(90, 10)).verdict is Verdict.HOLDS


def test_times_are_those_of_the_quantile_whatever_their_distribution() -> None:
    usual = {100: 950, 900: 50}
    assert says("p95 < 1.3x", arm(1_000, ms=usual), arm(200, ms={125: 190, 1_100: 10})).verdict is Verdict.HOLDS
    slow = says("p95 < 1.3x", arm(1_000, ms=usual), arm(200, ms={100: 100, 2_000: 100}))
    assert (slow.verdict, slow.arm, slow.baseline) == (Verdict.BREACHED, 2_000, 100)
    assert says("p50 < 1.3x", arm(1_000, ms={100: 1_000}), arm(200, ms={130: 200})).verdict is Verdict.HOLDS
    assert says("p50 < 1.3x", arm(1_000, ms={100: 1_000}), arm(200, ms={131: 200})).verdict is Verdict.BREACHED
    assert says("p50 < +50ms", arm(1_000, ms=usual), arm(200, ms={151: 200})).verdict is Verdict.BREACHED
    assert says("p50 < 2s", arm(1_000, ms=usual), arm(200, ms={2_001: 200})).verdict is Verdict.BREACHED
    assert says("p99 < 2x", arm(60), arm(200, ms={900: 200})).verdict is Verdict.TOO_LITTLE, "of 60, none stands for it"


def test_costs_are_compared_by_their_mean_and_an_unknown_one_is_never_taken_for_good() -> None:
    assert says("cost_per_request < 2x", arm(900, dollars=0.01), arm(100, dollars=0.019)).verdict is Verdict.HOLDS
    assert says("cost_per_request < 2x", arm(900, dollars=0.01), arm(100, dollars=0.03)).verdict is Verdict.BREACHED
    unpriced = Arm(Tally(served=500, total_ms={100: 500}))
    assert says("cost_per_request < 2x", arm(900, dollars=0.01), unpriced).verdict is Verdict.TOO_LITTLE


def test_where_whole_keys_are_drawn_one_odd_key_does_not_take_a_target_out() -> None:
    def by_keys(*tallies: tuple[int, int]) -> Arm:
        units = tuple(Tally(served, failed) for served, failed in tallies)
        return Arm(Tally(sum(u.served for u in units), sum(u.failed for u in units)), units)

    others = by_keys(*[(99, 1)] * 19)
    assert says("error_rate < +1%", others, by_keys((70, 30))).verdict is Verdict.HOLDS
    assert says("error_rate < +1%", arm(1_881, 19), arm(70, 30)).verdict is Verdict.BREACHED
    everywhere = by_keys(*[(0, 100)] * 4)
    assert says("error_rate < +1%", others, everywhere).verdict is Verdict.BREACHED


def test_a_judgement_reads_as_a_sentence_does() -> None:
    assert figures(says("error_rate < +1%", arm(99, 1), arm(90, 10))) == "10.00 % beside 1.00 %, at most 2.00 % allowed"
    assert figures(says("p95 < 2s", arm(99), arm(90))) == "100 ms, at most 2,000 ms allowed"


def test_what_could_be_found_is_foreseen_from_the_traffic_there_is() -> None:
    sample = arm(4_950, 50, dict.fromkeys(range(500, 1490, 10), 50), 0.002).tally
    first, second, third = foresee(PLAN, Recent(86_400, sample))
    assert (round(first.arm), round(first.baseline), third.baseline) == (180, 3420, 0)
    least = [[found.least for found in step.detectable] for step in (first, second)]
    for early, late in zip(*least, strict=True):
        assert early is not None
        assert late is not None
        assert late < early
    assert [found.least for found in third.detectable] == [None, None], "at 100 % nothing is compared"
    assert 0.04 < (least[0][0] or 0) < 0.12
    quiet = foresee(PLAN, Recent(0, Tally()))
    assert quiet[0].enough_after_s is None
