"""Identifiers sort by time, and no two are the same."""

from __future__ import annotations

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
