"""Tokens on their way to a new pepper, on both databases: at their next use, by any worker, without a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from keyvault.clock import Clock
from keyvault.domain.vault import SlotKind
from keyvault.errors import Tampered, TamperedRow, Unavailable
from keyvault.keys.customers import Customers
from keyvault.keys.directory import Directory
from keyvault.keys.lifecycle import Keys
from keyvault.keys.making import NewKey
from keyvault.keys.moving import AT_ONCE
from keyvault.secrets import Secret
from keyvault.settings import Paths
from keyvault.storage import epochs
from keyvault.storage.engine import Database
from keyvault.storage.schema import key_generations
from keyvault.vault.peppers import Peppers
from keyvault.vault.vault import Vault
from tests.conftest import FrozenClock


class House:
    """Two workers on one database, and somebody who rotates the pepper."""

    def __init__(self, database: Database, paths: Paths) -> None:
        self.database, self.clock = database, Clock()
        Vault(database, self.clock, paths, {}).initialise(SlotKind.FILE)
        Customers(database, self.clock).ensure_default()
        self.vault = Vault(database, self.clock, paths, {})
        self.keys = Keys(database, self.vault, self.clock)
        self.peppers = Peppers(database, self.clock, self.vault)
        self.workers = [self.worker(database) for _ in range(2)]

    def worker(self, database: Database) -> Directory:
        worker = Directory(database, self.vault.unlock().peppers, clock=self.clock)
        worker.load()
        return worker

    def knows(self, worker: Directory, secret: bytes) -> bool:
        with self.database.read() as tx:
            worker.refresh(epochs.current(tx)[0])
        return worker.authenticate(secret, self.clock.now_ms()) is not None

    def everybody_knows(self, secret: bytes) -> bool:
        return all(self.knows(worker, secret) for worker in self.workers)

    def create(self, name: str) -> bytes:
        return self.keys.create(name).secret.reveal().encode()

    def versions(self) -> list[int]:
        with self.database.read() as tx:
            return list(tx.execute(sa.select(key_generations.c.pepper_version).order_by("id")).scalars())


@pytest.fixture
def house(database: Database, tmp_path: Path) -> House:
    return House(database, Paths.find({"GWCTL_HOME": str(tmp_path)}))


def test_a_used_token_is_stored_under_the_new_pepper_and_known_to_every_worker(house: House) -> None:
    secret = house.create("bot")
    assert house.everybody_knows(secret)
    house.peppers.rotate()
    assert house.everybody_knows(secret)
    house.workers[0].flush()
    assert house.versions() == [2]
    assert house.everybody_knows(secret)
    house.workers[1].flush()  # it has noted the move too, and finds it done
    assert house.everybody_knows(secret)
    assert house.peppers.finish().destroyed == (1,)
    assert house.everybody_knows(secret)


def test_new_tokens_use_the_new_pepper_and_need_no_move(house: House) -> None:
    house.peppers.rotate()
    secret = house.create("bot")
    assert house.everybody_knows(secret)
    house.workers[0].flush()
    assert house.versions() == [2]


def test_a_token_that_nobody_uses_stays_and_goes_on_working(house: House) -> None:
    idle, busy = house.create("idle"), house.create("busy")
    house.peppers.rotate()
    assert house.everybody_knows(busy)
    house.workers[0].flush()
    assert [straggler.key for straggler in house.peppers.stragglers()] == ["idle"]
    assert house.everybody_knows(idle)


def test_an_adopted_token_of_another_form_moves_too(house: House) -> None:
    foreign = b"sk-of-another-gateway-0123456789"
    house.keys.adopt(NewKey("moved"), Secret(foreign.decode()), force=False)
    house.peppers.rotate()
    assert house.everybody_knows(foreign)
    house.workers[0].flush()
    assert house.versions() == [2]
    house.peppers.finish()
    assert house.everybody_knows(foreign)


def test_a_destroyed_pepper_is_forgotten_by_running_workers(house: House) -> None:
    secret = house.create("idle")
    house.peppers.rotate()
    assert house.peppers.finish(losing=True).destroyed == (1,)
    assert not any(house.knows(worker, secret) for worker in house.workers)
    assert [list(worker._peppers) for worker in house.workers] == [[2], [2]]


def test_two_peppers_are_the_most_there_ever_are(house: House) -> None:
    """So a look-up costs one HMAC more while tokens move, and never two."""
    for _ in range(3):
        house.peppers.rotate()
    house.create("bot")
    for worker in house.workers:
        house.knows(worker, b"")
    assert [list(worker._peppers) for worker in house.workers] == [[4, 3], [4, 3]]


def test_many_tokens_move_in_small_steps(house: House) -> None:
    secrets = [house.create(f"k{number}") for number in range(3)]
    house.peppers.rotate()
    worker = house.workers[0]
    assert all(house.knows(worker, secret) for secret in secrets)
    assert AT_ONCE >= 3
    worker.flush()
    assert house.versions() == [2, 2, 2]


def test_a_revoked_key_is_not_revived_by_a_move_that_was_noted_before(house: House) -> None:
    secret = house.create("bot")
    house.peppers.rotate()
    assert house.everybody_knows(secret)
    house.keys.revoke("bot")
    house.workers[0].flush()
    assert not house.knows(house.workers[0], secret)


def test_a_move_waits_while_the_database_is_away(house: House) -> None:
    class Away(Database):
        """A database whose changes fail until it is back."""

        away = True

        def change(self):  # type: ignore[no-untyped-def]
            if self.away:
                raise Unavailable("database: gone")
            return super().change()

    away = Away(house.database.url)
    secret = house.create("bot")
    worker = house.worker(away)
    house.peppers.rotate()
    assert house.knows(worker, secret)
    with pytest.raises(Unavailable):
        worker.flush()
    away.away = False
    worker.flush()
    assert house.versions() == [2]
    away.close()


class Counting(Database):
    """Counts the transactions that change, and finds the database changed by something else."""

    changes = 0
    found: Tampered | None = None

    def change(self):  # type: ignore[no-untyped-def]
        self.changes += 1
        if self.found is not None:
            raise self.found
        return super().change()


@pytest.fixture
def counting(house: House) -> Iterator[Counting]:
    made = Counting(house.database.url)
    yield made
    made.close()


def noted(house: House, database: Database, clock: Clock) -> Directory:
    """A worker that has noted three moves."""
    secrets = [house.create(f"k{number}") for number in range(3)]
    worker = Directory(database, house.vault.unlock().peppers, clock=clock)
    worker.load()
    house.peppers.rotate()
    assert all(house.knows(worker, secret) for secret in secrets)
    return worker


def test_moves_wait_a_minute_while_the_whole_database_is_not_what_was_sealed(house: House, counting: Counting) -> None:
    clock = FrozenClock()
    worker = noted(house, counting, clock)
    counting.found = Tampered("rows of the database were put back")
    worker.flush()
    worker.flush()
    assert counting.changes == 1
    counting.found = None
    clock.advance(seconds=61)
    worker.flush()
    assert house.versions() == [2, 2, 2]


def test_one_changed_row_is_passed_over_and_the_others_move(house: House, counting: Counting) -> None:
    worker = noted(house, counting, Clock())
    counting.found = TamperedRow("key k0 was changed")
    worker.flush()
    assert counting.changes == 4
