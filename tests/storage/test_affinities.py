"""Who made a piece of conversation state, on record."""

from __future__ import annotations

from collections.abc import Sequence

from keyvault.domain.routes import Target
from keyvault.proxy.affinity import FORGET_EVERY_MS, KEPT_MS, Forgetting
from keyvault.storage import affinities
from keyvault.storage.affinities import Made
from keyvault.storage.engine import Database
from keyvault.storage.ledger import LedgerStore
from tests.conftest import FrozenClock

TARGETS = [(1, "up1", "m"), (2, "up2", "m")]


def put_on_record(database: Database, *batches: Sequence[Made]) -> None:
    store = LedgerStore(database)
    for batch in batches:
        with store.transaction() as tx:
            tx.add_names([], TARGETS)
            tx.note_makers(batch)
    store.close()


def known(database: Database, digests: Sequence[bytes]) -> dict[bytes, Target]:
    with database.read() as tx:
        return dict(affinities.find(tx, digests))


def test_the_newest_word_on_a_state_counts(database: Database) -> None:
    put_on_record(database, [Made(b"one", 1, 10), Made(b"two", 2, 10)], [Made(b"one", 2, 12)], [])
    both = Target("up2", "m")
    assert known(database, [b"one", b"two", b"three"]) == {b"one": both, b"two": both}


def test_what_is_old_is_forgotten_the_oldest_first_and_some_at_a_time(database: Database) -> None:
    put_on_record(database, [Made(bytes([n]), 1, n) for n in (3, 1, 2, 9)])
    with database.write() as tx:
        assert affinities.forget(tx, 5, at_most=2) == 2
        assert set(affinities.find(tx, [bytes([n]) for n in range(10)])) == {b"\x03", b"\x09"}
        assert affinities.forget(tx, 5, at_most=2) == 1


def test_after_thirty_days_it_is_forgotten_by_itself(database: Database, clock: FrozenClock) -> None:
    forget = Forgetting(database, clock)
    put_on_record(database, [Made(b"old", 1, clock.ms - KEPT_MS - 1), Made(b"new", 1, clock.ms - KEPT_MS + 1)])
    forget()
    assert set(known(database, [b"old", b"new"])) == {b"new"}
    clock.ms += FORGET_EVERY_MS
    forget()
    assert known(database, [b"old", b"new"]) == {}
