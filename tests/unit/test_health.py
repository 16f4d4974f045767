"""What speaks against a target, when its breaker opens, and how it closes again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from keyvault.domain.routes import Target
from keyvault.routing.health import USUAL, Health, Rules, State

A, B = Target("a", "m"), Target("b", "m")
WHY = "500: sorry"


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def health(time: Time) -> Health:
    return Health(time)


def fail(health: Health, time: Time, times: int = 1, target: Target = A, **more: float) -> None:
    for _ in range(times):
        health.failed(target, time.now, WHY, **more)


def state(health: Health, target: Target = A) -> State:
    told = {each.target: each.state for each in health.told(0)}
    return told.get(str(target), State.CLOSED)


def test_nothing_is_known_against_a_target_that_works(health: Health, time: Time) -> None:
    health.begin(A)
    health.succeeded(A, time.now)
    assert not health
    assert health.available(A)


def test_failures_in_a_row_open_the_breaker_and_a_success_between_them_does_not(health: Health, time: Time) -> None:
    fail(health, time, USUAL.in_a_row - 1)
    health.succeeded(A, time.now)
    fail(health, time, USUAL.in_a_row - 1)
    assert state(health) is State.CLOSED
    fail(health, time)
    assert state(health) is State.OPEN
    assert not health.available(A)
    assert health.available(B)
    assert dict(health.opened) == {A: WHY}


def test_a_share_of_failures_opens_it_once_there_were_enough_requests(health: Health, time: Time) -> None:
    fail(health, time)
    for _ in range((USUAL.minimum - 2) // 2):
        health.succeeded(A, time.now)
        fail(health, time)
    assert state(health) is State.CLOSED
    health.succeeded(A, time.now)
    fail(health, time)
    assert state(health) is State.OPEN


def test_what_happened_before_the_window_does_not_count(health: Health, time: Time) -> None:
    for _ in range(USUAL.minimum):
        fail(health, time)
        health.succeeded(A, time.now)
        time.now += USUAL.window
    assert state(health) is State.CLOSED


def test_after_a_while_one_probe_at_a_time_is_let_through(health: Health, time: Time) -> None:
    fail(health, time, USUAL.in_a_row)
    time.now += USUAL.open_for
    assert state(health) is State.HALF_OPEN
    assert health.available(A)
    health.begin(A)
    assert not health.available(A)
    health.abandoned(A)
    assert health.available(A)


def test_a_probe_that_succeeds_closes_it_and_leaves_nothing(health: Health, time: Time) -> None:
    fail(health, time, USUAL.in_a_row)
    time.now += USUAL.open_for
    health.begin(A)
    health.succeeded(A, time.now)
    assert not health
    assert not health.opened


def test_each_probe_that_fails_opens_it_for_twice_as_long_up_to_a_bound(health: Health, time: Time) -> None:
    fail(health, time, USUAL.in_a_row)
    waits = []
    for _ in range(6):
        opened = time.now
        while not health.available(A):
            time.now += 1
        waits.append(time.now - opened)
        health.begin(A)
        fail(health, time)
    assert waits == [10, 20, 40, 80, 120, 120]


def test_the_first_content_of_a_probe_closes_it_and_an_error_after_that_opens_it_for_longer(
    health: Health, time: Time
) -> None:
    fail(health, time, USUAL.in_a_row)
    time.now += USUAL.open_for
    began = time.now
    health.begin(A)
    health.answering(A, began)
    assert health.available(A)
    assert not health.opened
    health.failed(A, began, WHY)
    assert state(health) is State.OPEN
    time.now += USUAL.open_for
    assert not health.available(A), "twice as long"
    time.now += USUAL.open_for
    health.begin(A)
    health.answering(A, time.now)
    health.succeeded(A, time.now)
    fail(health, time)
    assert state(health) is State.CLOSED, "an answer was complete since"


def test_a_request_from_before_the_breaker_opened_tells_nothing_of_how_it_is_now(health: Health, time: Time) -> None:
    before = time.now
    time.now += 1
    fail(health, time, USUAL.in_a_row)
    time.now += USUAL.open_for
    health.begin(A)
    health.succeeded(A, before)
    health.failed(A, before, WHY)
    assert state(health) is State.HALF_OPEN
    assert not health.available(A)


def test_a_target_that_names_a_time_is_left_alone_until_then(health: Health, time: Time) -> None:
    fail(health, time, retry_after=30)
    assert (state(health), health.available(A)) == (State.COOLING, False)
    fail(health, time, retry_after=5)
    time.now += 29
    assert not health.available(A)
    time.now += 1
    assert (state(health), health.available(A)) == (State.CLOSED, True)
    assert not health.opened


def test_nobody_is_left_alone_for_longer_than_the_bound(health: Health, time: Time) -> None:
    fail(health, time, retry_after=86_400)
    time.now += USUAL.longest_cooling
    assert health.available(A)


def test_a_breaker_that_could_be_probed_still_waits_for_the_end_of_a_cool_down(health: Health, time: Time) -> None:
    fail(health, time, USUAL.in_a_row, retry_after=60)
    time.now += USUAL.open_for
    assert not health.available(A)
    time.now += 60
    assert state(health) is State.HALF_OPEN


def test_what_is_told_has_the_times_of_the_clock_on_the_wall(health: Health, time: Time) -> None:
    fail(health, time, USUAL.in_a_row)
    fail(health, time, target=B, retry_after=60)
    time.now += 4
    [first, second] = health.told(1_000_000)
    assert (first.target, first.state, first.since_ms, first.until_ms) == ("a/m", State.OPEN, 996_000, 1_006_000)
    assert (first.in_a_row, first.requests, first.failures, first.why) == (5, 5, 5, WHY)
    assert (second.target, second.state, second.until_ms) == ("b/m", State.COOLING, 1_056_000)


def test_clients_that_name_models_freely_do_not_fill_the_memory(time: Time) -> None:
    health = Health(time, replace(USUAL, remembered=3))
    fail(health, time, USUAL.in_a_row, A)
    for number in range(10):
        fail(health, time, target=Target("a", f"made-up-{number}"))
    assert len(health.told(0)) == 3
    assert state(health) is State.OPEN, "an open breaker is not forgotten for the sake of a closed one"


class Breaker(RuleBasedStateMachine):
    """Whatever happens: at most one probe, no more remembered than allowed, and a success always leads back."""

    limits = Rules(in_a_row=3, minimum=6, remembered=4)
    places = tuple(Target("u", str(number)) for number in range(6))

    def __init__(self) -> None:
        super().__init__()
        self.time = Time()
        self.health = Health(self.time, self.limits)

    @rule(at=st.sampled_from(places), wait=st.sampled_from([None, 0.0, 5.0, 1e9]), old=st.booleans())
    def fails(self, at: Target, wait: float | None, old: bool) -> None:
        self.health.failed(at, self.time.now - 50 * old, "x", wait)

    @rule(at=st.sampled_from(places), old=st.booleans())
    def succeeds(self, at: Target, old: bool) -> None:
        self.health.succeeded(at, self.time.now - 50 * old)

    @rule(at=st.sampled_from(places))
    def is_probed(self, at: Target) -> None:
        if self.health.available(at):
            self.health.begin(at)
            if at in self.health.opened:
                assert not self.health.available(at)
                self.health.abandoned(at)

    @rule(seconds=st.sampled_from([0.1, 1.0, 9.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.time.now += seconds

    @invariant()
    def little_is_remembered_and_what_is_told_agrees(self) -> None:
        told = self.health.told(0)
        assert len(told) <= self.limits.remembered
        assert bool(self.health) == bool(told)
        broken = {each.target for each in told if each.state in (State.OPEN, State.HALF_OPEN)}
        assert broken <= set(map(str, self.health.opened))

    def teardown(self) -> None:
        self.time.now += self.limits.longest_cooling + self.limits.longest_open
        for target in self.places:
            assert self.health.available(target)
            self.health.begin(target)
            self.health.succeeded(target, self.time.now)
            assert self.health.available(target)
        assert not self.health.opened


Breaker.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestBreaker = Breaker.TestCase
