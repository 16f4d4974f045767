"""The generic cell rate algorithm: exact at any rate, and giving back never lets more through than the rate allows."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyvault.domain.limits import LimitChange, parse_change
from keyvault.errors import UsageError
from keyvault.metering.gcra import PERIOD_US, Gcra
from keyvault.proxy.permit import span
from keyvault.proxy.reckoning import TOKENS_PER_BLOB, reckoned_input

SECOND = 1_000_000
RATES = st.integers(1, 500)
STEPS = st.lists(st.tuples(st.integers(0, 20 * SECOND), st.integers(1, 60)), max_size=40)


def reserve(bucket: Gcra, weight: int, now_us: int) -> int:
    """Take units if they may come now; 0, or the microseconds until they may."""
    wait = bucket.wait_us(weight, now_us)
    if not wait:
        bucket.take(weight, now_us)
    return wait


def most_above_the_rate(came: list[tuple[int, int]], rate: int) -> Fraction:
    """Of all spans of time, how many units came in one beyond what runs off in it: looks at each pair of moments."""
    return max(
        (
            sum(weight for at, weight in came[i : j + 1]) - Fraction(rate * (came[j][0] - came[i][0]), PERIOD_US)
            for i in range(len(came))
            for j in range(i, len(came))
        ),
        default=Fraction(0),
    )


def test_a_minutes_worth_may_come_at_once_and_then_one_at_a_time() -> None:
    bucket = Gcra(60)
    assert [reserve(bucket, 1, 0) for _ in range(60)] == [0] * 60
    assert reserve(bucket, 1, 0) == SECOND
    assert reserve(bucket, 3, 0) == 3 * SECOND
    assert reserve(bucket, 1, SECOND) == 0
    assert reserve(bucket, 1, SECOND) == SECOND


@given(RATES, STEPS)
def test_it_admits_exactly_what_no_window_of_time_forbids(rate: int, steps: list[tuple[int, int]]) -> None:
    bucket, now_us = Gcra(rate), 0
    admitted: list[tuple[int, int]] = []
    for later_us, weight in steps:
        now_us += later_us
        weight = min(weight, rate)
        may = most_above_the_rate([*admitted, (now_us, weight)], rate) <= rate
        wait = reserve(bucket, weight, now_us)
        assert (wait == 0) == may
        if may:
            admitted.append((now_us, weight))
        else:  # and the wait is neither too short nor too long
            assert most_above_the_rate([*admitted, (now_us + wait, weight)], rate) <= rate
            assert most_above_the_rate([*admitted, (now_us + wait - 1, weight)], rate) > rate


@given(st.integers(1, 4), st.data())
def test_whatever_is_given_back_when_what_was_used_stays_below_the_rate(rate: int, data: st.DataObject) -> None:
    bucket, now_us = Gcra(rate), 0
    used: list[tuple[int, int]] = []
    under_way: list[tuple[int, int, int]] = []
    for _ in range(data.draw(st.integers(0, 12))):
        now_us += 15 * SECOND * data.draw(st.integers(0, 4))
        ends: bool = data.draw(st.booleans())
        if ends and under_way:
            place, taken, weight = under_way.pop(data.draw(st.integers(0, len(under_way) - 1)))
            really = data.draw(st.integers(0, weight))
            bucket.settle(taken, weight, really, now_us)
            used[place] = (used[place][0], really)
            continue
        weight = data.draw(st.integers(1, rate))
        if bucket.wait_us(weight, now_us) == 0:
            under_way.append((len(used), bucket.take(weight, now_us), weight))
            used.append((now_us, weight))
    assert most_above_the_rate(used, rate) <= rate


@given(RATES, STEPS, st.integers(1, 60), st.integers(0, 200))
def test_settled_at_once_it_is_as_if_the_true_count_had_been_taken(
    rate: int, steps: list[tuple[int, int]], weight: int, used: int
) -> None:
    settled, plain, now_us = Gcra(rate), Gcra(rate), 0
    for later_us, units in steps:
        now_us += later_us
        settled.take(units, now_us)
        plain.take(units, now_us)
    settled.settle(settled.take(weight, now_us), weight, used, now_us)
    plain.take(used, now_us)
    assert settled.remaining(now_us) == plain.remaining(now_us)


def test_what_has_run_off_is_not_given_back() -> None:
    bucket = Gcra(60)
    taken = bucket.take(60, 0)
    assert reserve(bucket, 60, 60 * SECOND) == 0
    bucket.settle(taken, 60, 0, 60 * SECOND)
    assert bucket.remaining(60 * SECOND)[0] == 0


def test_what_another_gave_back_has_moved_up_those_behind_it() -> None:
    bucket = Gcra(2)
    first, second = bucket.take(1, 0), bucket.take(1, 0)
    bucket.settle(first, 1, 0, 0)
    assert reserve(bucket, 2, 30 * SECOND) == 0, "the second has run off in the place of the first"
    bucket.settle(second, 1, 0, 30 * SECOND)
    assert bucket.remaining(30 * SECOND)[0] == 0


def test_what_came_to_more_than_was_reserved_is_waited_for() -> None:
    bucket = Gcra(60)
    bucket.settle(bucket.take(10, 0), 10, 180, 0)
    assert bucket.remaining(0)[0] == 0
    assert reserve(bucket, 1, 0) == 121 * SECOND


def test_a_weight_beyond_the_burst_may_come_when_the_bucket_is_empty() -> None:
    bucket = Gcra(60)
    bucket.take(1, 0)
    assert reserve(bucket, 1000, 0) == SECOND
    assert reserve(bucket, 1000, SECOND) == 0


@given(RATES, RATES, st.integers(1, 60), st.integers(0, 90 * SECOND))
def test_another_rate_counts_from_now_on_and_keeps_what_is_there(
    rate: int, other: int, weight: int, now_us: int
) -> None:
    bucket = Gcra(rate)
    bucket.take(weight, 0)
    left = max(Fraction(0), weight - Fraction(rate * now_us, PERIOD_US))
    bucket.change(other, now_us)
    may_come, empty_in_us = max(0, (other - left).__floor__()), (left * PERIOD_US / other).__ceil__()
    assert bucket.remaining(now_us) == (may_come, empty_in_us)


class Line:
    """The model: what is in the bucket, one after the other, each as long as it is still in."""

    def __init__(self, rate: int) -> None:
        self.rate, self.now_us = rate, 0
        self.parts: list[list[int]] = []

    def until(self, now_us: int) -> None:
        gone, self.now_us = (now_us - self.now_us) * self.rate, now_us
        for one in self.parts:
            off = min(gone, one[0])
            gone, one[0] = gone - off, one[0] - off

    def still_in(self) -> int:
        return sum(one[0] for one in self.parts)

    def admit(self, weight: int) -> list[int] | None:
        if self.still_in() + weight * PERIOD_US > self.rate * PERIOD_US:
            return None
        self.parts.append([weight * PERIOD_US])
        return self.parts[-1]

    def settle(self, taken: list[int], weight: int, used: int) -> None:
        if used >= weight:
            self.parts.append([(used - weight) * PERIOD_US])
        else:
            taken[0] -= min((weight - used) * PERIOD_US, taken[0])

    def remaining(self) -> tuple[int, int]:
        still_in = Fraction(self.still_in())
        return max(0, (self.rate - still_in / PERIOD_US).__floor__()), (still_in / self.rate).__ceil__()


@pytest.mark.parametrize("seed", range(40))
def test_it_is_to_the_part_a_line_from_which_is_taken_what_was_not_used(seed: int) -> None:
    """Whatever is under way at once, however it ends, at rates that change meanwhile."""
    chance = random.Random(seed)
    rate = chance.choice([1, 7, 60, 1000])
    bucket, line, now_us = Gcra(rate), Line(rate), 0
    under_way: list[tuple[int, list[int], int]] = []
    for _ in range(120):
        now_us += chance.choice([0, 0, 1, SECOND, chance.randrange(90 * SECOND)])
        line.until(now_us)
        match chance.choice(
            ["admit", "admit", "admit", "settle", "settle", "change", "wait"][: chance.randrange(4, 8)]
        ):
            case "admit":
                weight = chance.randrange(line.rate + 1)
                taken, wanted = bucket.admit(weight, now_us), line.admit(weight)
                assert (taken is None) is (wanted is None)
                if taken is not None and wanted is not None:
                    under_way.append((taken, wanted, weight))
            case "settle" if under_way:
                taken, wanted, weight = under_way.pop(chance.randrange(len(under_way)))
                used = chance.choice([0, weight, chance.randrange(2 * weight + 1)])
                bucket.settle(taken, weight, used, now_us)
                line.settle(wanted, weight, used)
            case "change" if chance.random() < 0.3:
                line.rate = chance.choice([1, 5, 60, 5000])
                bucket.change(line.rate, now_us)
        assert bucket.remaining(now_us) == line.remaining()
        assert bucket.told == str(line.rate).encode()


def test_what_several_did_not_use_is_given_back_in_whatever_order_they_end() -> None:
    for order in itertools.permutations(range(4)):
        bucket = Gcra(100)
        taken = [bucket.take(25, 0) for _ in order]
        for each in order:
            bucket.settle(taken[each], 25, 5, SECOND)
        assert bucket.remaining(SECOND) == (100 - 20 + 1, 11_000_000), order


def test_amounts_are_written_as_people_write_them() -> None:
    assert parse_change("60", "100k", None) == LimitChange(rpm=60, tpm=100_000)
    assert parse_change("1_000", "1.5M", "none") == LimitChange(rpm=1000, tpm=1_500_000, parallel=None)
    assert not parse_change(None, None, None)


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "1e9", "k", "60/min", "9999999999999", "\x1b[31m", "１"])
def test_an_amount_that_makes_no_sense_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(UsageError, match="not a limit: --rpm") as caught:
        parse_change(text, None, None)
    assert caught.value.hint is not None
    assert "100k" in caught.value.hint


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "0ms"),
        (119_001, "120ms"),
        (SECOND, "1s"),
        (8_640_000, "8.64s"),
        (360 * SECOND, "6m0s"),
        (3_603_500_000, "1h0m3.5s"),
    ],
)
def test_times_are_told_as_openai_tells_them(us: int, text: str) -> None:
    assert span(us) == text


def test_input_is_reckoned_by_its_bytes_and_pictures_by_number() -> None:
    picture = b'{"type":"image_url","image_url":{"url":"data:image/png;base64,' + b"iVBO" * 100_000 + b'"}}'
    file = b'{"type":"base64","media_type":"image/png","data":"' + b"iVBO" * 100_000 + b'"}'
    assert reckoned_input(b"") == 1
    assert reckoned_input(b"x" * 400) == 100
    assert reckoned_input(b"[" + picture + b"," + file + b"]") in range(2 * TOKENS_PER_BLOB, 2 * TOKENS_PER_BLOB + 40)
    words = b'{"content":"what is base64? ' + b"some words " * 1000 + b'"}'
    assert reckoned_input(words) == len(words) // 4
