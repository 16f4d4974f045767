"""Rotation of data keys on both databases: nothing is lost, whoever reads or writes or dies meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from keyvault.clock import Clock
from keyvault.domain.vault import Compartment, SlotKind, SlotScope
from keyvault.errors import Conflict, Locked, Tampered
from keyvault.keys.locks import Locks
from keyvault.secrets import Secret
from keyvault.settings import Paths
from keyvault.storage import vault as rows
from keyvault.storage.engine import Database
from keyvault.storage.schema import sealed_records
from keyvault.vault.open_vault import PEPPER, OpenVault
from keyvault.vault.os_keyring import OsKeyring
from keyvault.vault.rewrap import DataKeys
from keyvault.vault.slot_changes import Slots
from keyvault.vault.upstreams import Upstreams
from keyvault.vault.vault import Vault

UPSTREAM, KEYS = Compartment.UPSTREAM, Compartment.KEYS


class Killed(BaseException):
    """The process ends here."""


class Bench:
    """A vault with some upstreams; each `vault()` is opened afresh, as by another process."""

    def __init__(self, database: Database, paths: Paths) -> None:
        self.database, self.paths, self.clock = database, paths, Clock()
        self.vault().initialise(SlotKind.FILE)
        for number in range(4):
            self.upstreams().create(f"u{number}", "openai", secret=Secret(f"sk-{number}"))

    def vault(self, **environ: str) -> Vault:
        return Vault(self.database, self.clock, self.paths, environ)

    def slots(self) -> Slots:
        return Slots(self.database, self.clock, self.paths, self.vault(), OsKeyring({}))

    def upstreams(self, vault: Vault | None = None) -> Upstreams:
        return Upstreams(self.database, vault or self.vault(), self.clock)

    def data_keys(self, vault: Vault | None = None) -> DataKeys:
        locks = Locks(self.database, self.paths.state / "locks")
        return DataKeys(self.database, self.clock, vault or self.vault(), locks.data_keys)

    def states(self) -> dict[int, str]:
        return {key.number: key.state for key in self.vault().status().data_keys}

    def generations(self) -> set[int]:
        with self.database.read() as tx:
            return {record.generation for record in rows.records(tx, "upstream-secret")}

    def secrets(self, vault: Vault | None = None) -> dict[str, str]:
        upstreams = self.upstreams(vault)
        found = {upstream.name: upstreams.open(upstream.name).secret for upstream in upstreams.list()}
        return {name: secret.reveal() for name, secret in found.items() if secret}


@pytest.fixture
def bench(database: Database, tmp_path: Path) -> Bench:
    return Bench(database, Paths.find({"GWCTL_HOME": str(tmp_path / "home")}))


SECRETS = {f"u{number}": f"sk-{number}" for number in range(4)}


def test_every_record_is_sealed_anew_and_the_old_generation_is_gone(bench: Bench) -> None:
    done = bench.data_keys().rotate(UPSTREAM)
    assert (done.changed, done.generation, done.rewrapped, done.destroyed, done.left) == (True, 3, 4, (1,), ())
    assert bench.states() == {1: "destroyed", 2: "primary", 3: "primary"}
    assert bench.generations() == {3}
    assert bench.secrets() == SECRETS
    with bench.database.read() as tx:
        assert rows.data_keys(tx)[0].wrapped == b""


def test_a_vault_opened_before_reads_and_writes_on(bench: Bench) -> None:
    running = bench.vault()
    running.unlock(UPSTREAM)
    for _ in range(3):
        bench.data_keys().rotate(UPSTREAM)
        assert bench.secrets(running) == SECRETS
    bench.upstreams(running).create("late", "openai", secret=Secret("sk-late"))
    assert bench.generations() == {5}
    assert bench.secrets() == SECRETS | {"late": "sk-late"}


def test_a_writer_that_has_not_heard_of_it_seals_under_the_new_generation(bench: Bench) -> None:
    """Its own generation is destroyed already: what it sealed under that nobody could ever open."""
    running = bench.vault()
    running.unlock(UPSTREAM)
    bench.data_keys().rotate(UPSTREAM)
    bench.upstreams(running).create("late", "openai", secret=Secret("sk-late"))
    assert bench.secrets()["late"] == "sk-late"


def test_the_pepper_stays_what_it_was(bench: Bench) -> None:
    before = bench.vault().unlock().peppers()
    done = bench.data_keys().rotate(KEYS)
    assert (done.rewrapped, done.destroyed) == (1, (2,))
    assert bench.vault().unlock().peppers() == before


def test_a_slot_of_scope_keys_rotates_its_own_compartment_only(bench: Bench, tmp_path: Path) -> None:
    bench.slots().create(SlotKind.FILE, scope=SlotScope.KEYS, key_file=tmp_path / "cron.key")
    keys_only = bench.vault(GWCTL_KEY_FILE=str(tmp_path / "cron.key"))
    with pytest.raises(Locked):
        bench.data_keys(keys_only).rotate(UPSTREAM)
    assert bench.data_keys(keys_only).rotate(KEYS).changed
    assert bench.vault().unlock(UPSTREAM).peppers() == keys_only.unlock().peppers()


@pytest.mark.parametrize("calls", range(2))
def test_a_rotation_that_was_killed_is_finished_by_the_next_one(bench: Bench, calls: int) -> None:
    def die(_done: int, _total: int) -> None:
        nonlocal calls
        calls -= 1
        if calls < 0:
            raise Killed

    with pytest.raises(Killed):
        bench.data_keys().rotate(UPSTREAM, progress=die)
    assert bench.states() == {1: "decrypt-only", 2: "primary", 3: "primary"}
    assert bench.secrets() == SECRETS
    bench.upstreams().create("between", "openai", secret=Secret("sk-between"))
    done = bench.data_keys().rotate(UPSTREAM)
    assert (done.resumed, done.generation, done.destroyed) == (True, 3, (1,))
    assert bench.secrets() == SECRETS | {"between": "sk-between"}
    assert bench.data_keys().rotate(UPSTREAM).generation == 4


def test_the_second_of_two_is_busy_or_waits_and_changes_nothing(bench: Bench) -> None:
    first, second = bench.data_keys(), bench.data_keys()
    seen: list[str] = []

    def meanwhile(_done: int, _total: int) -> None:
        if not seen:
            with pytest.raises(Conflict, match="another process is rotating data keys"):
                second.rotate(UPSTREAM)
            seen.append("busy")

    first.rotate(UPSTREAM, progress=meanwhile)
    assert seen == ["busy"]

    @contextlib.contextmanager
    def after_another(_wait: timedelta) -> Iterator[bool]:
        bench.data_keys().rotate(UPSTREAM)
        yield True

    waited = DataKeys(bench.database, bench.clock, bench.vault(), after_another).rotate(UPSTREAM)
    assert (waited.changed, waited.generation) == (False, 4)
    assert waited.reason == "another process rotated it meanwhile"


def test_a_record_changed_meanwhile_keeps_its_change(bench: Bench) -> None:
    """Compare and swap: what was read before somebody else's change is not written over it."""
    opened = bench.vault().unlock(UPSTREAM)
    with bench.database.write() as tx:
        old = rows.records(tx, "upstream-secret")[0]
        opened.seal(tx, "pepper-1", PEPPER, (), b"new", version=1)
        changed = rows.record(tx, "pepper-1")
        assert changed is not None
        assert not rows.exchange(tx, rows.SealedRecord(changed.id, PEPPER, 2, 1, old.blob), old)
        assert rows.record(tx, "pepper-1") == changed


def test_a_damaged_record_is_named_and_keeps_its_generation(bench: Bench) -> None:
    with bench.database.write() as tx:
        damaged = rows.records(tx, "upstream-secret")[0]
        blob = damaged.blob[:-1] + bytes([damaged.blob[-1] ^ 1])
        tx.execute(sa.update(sealed_records).where(sealed_records.c.id == damaged.id).values(blob=blob))
    done = bench.data_keys().rotate(UPSTREAM)
    assert (done.rewrapped, done.destroyed, done.left) == (3, (), (damaged.id,))
    assert bench.states()[1] == "decrypt-only"
    with bench.database.read() as tx, pytest.raises(Tampered):
        bench.vault().unlock(UPSTREAM).open(tx, damaged.id, ("openai", "https://api.openai.com/v1"))
    again = bench.data_keys().rotate(UPSTREAM)  # it stops no later rotation
    assert (again.generation, again.rewrapped, again.left) == (4, 3, (damaged.id,))


def test_a_generation_column_that_lies_does_not_get_a_key_destroyed(bench: Bench) -> None:
    bench.data_keys()
    with bench.database.write() as tx:
        tx.execute(sa.update(sealed_records).values(generation=3))
    assert bench.data_keys().rotate(UPSTREAM).rewrapped == 4
    assert bench.secrets() == SECRETS


def test_a_rehearsal_tries_every_record_and_keeps_nothing(bench: Bench) -> None:
    bench.database.rehearsal = True
    done = bench.data_keys().rotate(UPSTREAM)
    bench.database.rehearsal = False
    assert (done.rewrapped, done.left) == (4, ())
    assert bench.states() == {1: "primary", 2: "primary"}
    assert bench.generations() == {1}


def test_a_reader_that_is_overtaken_twice_reads_once_more(bench: Bench) -> None:
    reader = bench.vault().unlock(UPSTREAM)
    with bench.database.read() as tx:
        record = rows.records(tx, "upstream-secret")[0]
    for _ in range(2):
        bench.data_keys().rotate(UPSTREAM)
    with bench.database.read() as tx:
        assert isinstance(reader, OpenVault)
        assert b"sk-0" in reader.open(tx, record.id, ("openai", "https://api.openai.com/v1"))
