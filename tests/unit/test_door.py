"""Wrong keys in a row are slowed down by address, a bounded number at once, and forgotten again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keyvault.proxy.door import BURST, HOLD_SECONDS, MOST_ADDRESSES, MOST_HELD, PER_SECOND, Door

ADDRESS = "192.0.2.7"


def exhausted(address: str = ADDRESS, now: float = 0.0) -> Door:
    door = Door()
    assert [door.turned_away(address, now) for _ in range(BURST)] == [0.0] * BURST
    return door


def test_a_few_wrong_keys_are_answered_at_once_and_then_slowly() -> None:
    assert exhausted().turned_away(ADDRESS, 0.0) == HOLD_SECONDS


def test_another_address_is_not_slowed() -> None:
    assert exhausted().turned_away("192.0.2.8", 0.0) == 0.0


def test_an_address_that_keeps_to_the_rate_is_not_slowed() -> None:
    door = exhausted()
    assert [door.turned_away(ADDRESS, (n + 1) / PER_SECOND) for n in range(50)] == [0.0] * 50


def test_after_a_pause_everything_is_forgotten() -> None:
    door = exhausted()
    for _ in range(10_000):
        door.turned_away(ADDRESS, 0.0)
    assert door.turned_away(ADDRESS, 2 * BURST / PER_SECOND) == 0.0


def test_an_ipv6_subscriber_counts_as_one() -> None:
    assert exhausted("2001:db8::1").turned_away("2001:db8::2", 0.0) == HOLD_SECONDS
    assert exhausted("2001:db8::1").turned_away("2001:db8:0:1::2", 0.0) == 0.0
    assert exhausted("fe80::1%eth0").turned_away("fe80::2", 0.0) == HOLD_SECONDS


def test_only_so_many_answers_are_held_at_once() -> None:
    door = exhausted()
    assert [door.turned_away(ADDRESS, 0.0) for _ in range(MOST_HELD)] == [HOLD_SECONDS] * MOST_HELD
    assert door.turned_away(ADDRESS, 0.0) == 0.0
    assert door.turned_away(ADDRESS, HOLD_SECONDS) == HOLD_SECONDS


@given(st.lists(st.tuples(st.integers(0, 2 * MOST_ADDRESSES), st.floats(0, 1)), max_size=50))
def test_memory_is_bounded(tries: list[tuple[int, float]]) -> None:
    door = Door()
    for number in range(MOST_ADDRESSES):
        door.turned_away(str(number), 0.0)
    for number, now in tries:
        door.turned_away(str(number), now)
    assert len(door._used_until) <= MOST_ADDRESSES
