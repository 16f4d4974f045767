"""Who made a piece of conversation state, on record."""

from __future__ import annotations

import sqlalchemy as sa

from keyvault.domain.routes import Target
from keyvault.storage import affinities
from keyvault.storage.affinities import Made
from keyvault.storage.engine import Database
from keyvault.storage.schema import targets


def test_the_newest_word_on_a_state_counts(database: Database) -> None:
    with database.write() as tx:
        tx.execute(sa.insert(targets), [{"id": n, "upstream": f"up{n}", "model": "m"} for n in (1, 2)])
        affinities.add(tx, [Made(b"one", 1, 10), Made(b"two", 1, 10), Made(b"two", 2, 11)])
        affinities.add(tx, [Made(b"one", 2, 12)])
        affinities.add(tx, [])
    with database.read() as tx:
        found = affinities.find(tx, [b"one", b"two", b"three"])
    assert found == {b"one": Target("up2", "m"), b"two": Target("up2", "m")}


def test_what_is_old_is_forgotten_the_oldest_first_and_some_at_a_time(database: Database) -> None:
    with database.write() as tx:
        tx.execute(sa.insert(targets), {"id": 1, "upstream": "up", "model": "m"})
        affinities.add(tx, [Made(bytes([n]), 1, n) for n in (3, 1, 2, 9)])
        assert affinities.forget(tx, 5, at_most=2) == 2
        assert set(affinities.find(tx, [bytes([n]) for n in range(10)])) == {b"\x03", b"\x09"}
        assert affinities.forget(tx, 5, at_most=2) == 1
