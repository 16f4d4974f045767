"""Identifiers sort by time, and no two are the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keyvault.clock import CROCKFORD, Clock, Ulids, ulid_at
from tests.conftest import FrozenClock


class Random(FrozenClock):
    """Stands still, with entropy."""

    def random_bytes(self, count: int) -> bytes:
        return Clock.random_bytes(self, count)


def test_identifiers_of_one_moment_differ_and_begin_with_it() -> None:
    clock = Random()
    ids = Ulids(clock)
    found = [ids.next() for _ in range(1_000)]
    assert len(set(found)) == 1_000
    assert {name[:10] for name in found} == {ulid_at(clock.ms)[:10]}
    assert all(len(name) == 26 and set(name) <= set(CROCKFORD) for name in found)
    clock.advance(seconds=1)
    assert ids.next() > max(found)


@given(st.lists(st.integers(0, (1 << 48) - 1), min_size=1, max_size=20), st.integers(-3_000, 3_000))
def test_identifiers_begin_with_their_time_wherever_it_goes(times: list[int], apart: int) -> None:
    clock = Random()
    ids = Ulids(clock)
    for ms in times:
        for clock.ms in (ms, max(0, min(ms + apart, (1 << 48) - 1)), ms):
            assert ids.next()[:10] == ulid_at(clock.ms)[:10]
