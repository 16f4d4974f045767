"""The vault against a model of it, through any life: slots, rotations that are killed, peppers, tampering."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from keyvault.clock import Clock
from keyvault.domain.vault import Compartment, Slot, SlotKind, SlotScope
from keyvault.errors import Conflict, Locked, SealError, WrongKey
from keyvault.keys.customers import Customers
from keyvault.keys.directory import Directory
from keyvault.keys.lifecycle import Keys
from keyvault.keys.locks import Locks
from keyvault.secrets import Secret
from keyvault.settings import Paths
from keyvault.storage import epochs, migrations
from keyvault.storage.engine import Database
from keyvault.storage.schema import sealed_records
from keyvault.vault.os_keyring import OsKeyring
from keyvault.vault.peppers import Peppers
from keyvault.vault.rewrap import DataKeys
from keyvault.vault.slot_changes import Slots
from keyvault.vault.upstreams import Upstreams
from keyvault.vault.vault import Vault

SCOPES = st.sampled_from(list(SlotScope))
COMPARTMENTS = st.sampled_from(list(Compartment))


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Way:
    """A slot in the model: what opens it, and how far."""

    slot: Slot
    recovery_code: Secret | None = None
    key_file: Path | None = None


@dataclass
class Token:
    secret: bytes
    pepper: int
    alive: bool = True


@dataclass
class Model:
    ways: list[Way] = field(default_factory=list)
    upstreams: dict[str, str] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)
    tokens: list[Token] = field(default_factory=list)
    newest: int = 1
    peppers: set[int] = field(default_factory=lambda: {1})

    @property
    def stragglers(self) -> list[Token]:
        return [token for token in self.tokens if token.alive and token.pepper != self.newest]


class VaultMachine(RuleBasedStateMachine):
    """A running process holds the vault open all the time; others come, change something, and go or die."""

    @initialize()
    def make(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        root = Path(self.directory.name)
        self.paths = Paths.find({"GWCTL_HOME": str(root)})
        self.paths.make()
        self.database = Database(f"sqlite:///{root / 'gateway.db'}")
        migrations.upgrade(self.database)
        self.clock = Clock()
        self.model = Model()
        made = Vault(self.database, self.clock, self.paths, {}).initialise(SlotKind.FILE)
        Customers(self.database, self.clock).ensure_default()
        self.model.ways.append(Way(made.slots[0], key_file=self.paths.key_file))
        self.running = self.vault(self.model.ways[0])
        self.running.unlock(Compartment.UPSTREAM)
        self.proxy = Directory(self.database, self.running.unlock().peppers, clock=self.clock)
        self.proxy.load()
        for _ in range(2):
            self.mint()

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()
            self.directory.cleanup()

    # Another process, opened by one of the ways

    def vault(self, way: Way) -> Vault:
        environ = {"GWCTL_KEY_FILE": str(way.key_file)} if way.key_file else {}
        paths = self.paths if way.key_file else Paths.find({"GWCTL_HOME": str(Path(self.directory.name) / "nowhere")})
        return Vault(self.database, self.clock, paths, environ, prompt=lambda _: way.recovery_code)

    def slots(self) -> Slots:
        return Slots(self.database, self.clock, self.paths, self.running, OsKeyring({}))

    def data_keys(self, vault: Vault) -> DataKeys:
        return DataKeys(self.database, self.clock, vault, Locks(self.database, self.paths.state / "locks").data_keys)

    def peppers(self) -> Peppers:
        return Peppers(self.database, self.clock, self.running)

    # Slots

    @precondition(lambda self: len(self.model.ways) < 4)
    @rule(scope=SCOPES, recovery=st.booleans())
    def create_slot(self, scope: SlotScope, recovery: bool) -> None:
        if recovery:
            made = self.slots().create(SlotKind.RECOVERY, scope=scope)
            self.model.ways.append(Way(made.slot, recovery_code=made.recovery_code))
            return
        key_file = self.paths.config / f"{self.clock.ulid()}.key"
        made = self.slots().create(SlotKind.FILE, scope=scope, key_file=key_file)
        self.model.ways.append(Way(made.slot, key_file=key_file))

    @rule(data=st.data())
    def delete_slot(self, data: st.DataObject) -> None:
        way = data.draw(st.sampled_from(self.model.ways))
        others = [other for other in self.model.ways if other is not way]
        if not any(other.slot.scope is SlotScope.ALL for other in others):
            with pytest.raises(Conflict):
                self.slots().delete(way.slot.id)
            return
        assert self.slots().delete(way.slot.id).secret_removed
        if way.recovery_code is not None:
            with pytest.raises((WrongKey, Locked)):
                self.vault(way).unlock()
        self.model.ways.remove(way)

    @rule()
    def each_way_opens_as_far_as_it_says(self) -> None:
        for way in self.model.ways:
            opened = self.vault(way).unlock()
            assert opened.scope is way.slot.scope
            assert set(opened.peppers()) == self.model.peppers
            if way.slot.scope is SlotScope.KEYS:
                with pytest.raises(Locked):
                    self.vault(way).unlock(Compartment.UPSTREAM)

    # Records

    @precondition(lambda self: len(self.model.upstreams) < 6)
    @rule()
    def create_upstream(self) -> None:
        name = f"u{len(self.model.upstreams)}"
        secret = f"sk-{self.clock.ulid()}"
        Upstreams(self.database, self.running, self.clock).create(name, "openai", secret=Secret(secret))
        self.model.upstreams[name] = secret

    @precondition(lambda self: len(self.model.upstreams) > len(self.model.damaged))
    @rule(data=st.data(), position=st.integers(0, 150))
    def damage_a_record(self, data: st.DataObject, position: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.upstreams.keys() - self.model.damaged)))
        current = Upstreams(self.database, self.running, self.clock).open(name).credential.record_id
        with self.database.write() as tx:
            where = sealed_records.c.id == current
            blob = bytearray(tx.execute(sa.select(sealed_records.c.blob).where(where)).scalar_one())
            blob[position] ^= 1
            tx.execute(sa.update(sealed_records).where(where).values(blob=bytes(blob)))
        self.model.damaged.add(name)

    # Data keys

    @rule(compartment=COMPARTMENTS, data=st.data())
    def rotate_data(self, compartment: Compartment, data: st.DataObject) -> None:
        way = data.draw(st.sampled_from(self.model.ways))
        if compartment is Compartment.UPSTREAM and way.slot.scope is SlotScope.KEYS:
            with pytest.raises(Locked):
                self.data_keys(self.vault(way)).rotate(compartment)
            return
        done = self.data_keys(self.vault(way)).rotate(compartment)
        assert done.changed
        expected = len(self.model.damaged) if compartment is Compartment.UPSTREAM else 0
        assert len(done.left) == expected

    @rule(compartment=COMPARTMENTS, after=st.integers(0, 2))
    def rotate_data_and_die(self, compartment: Compartment, after: int) -> None:
        calls = 0

        def die(_done: int, _total: int) -> None:
            nonlocal calls
            calls += 1
            if calls > after:
                raise Killed

        with contextlib.suppress(Killed):
            self.data_keys(self.running).rotate(compartment, progress=die)

    # Peppers and tokens

    @precondition(lambda self: len(self.model.tokens) < 6)
    @rule()
    def create_key(self) -> None:
        self.mint()

    def mint(self) -> None:
        made = Keys(self.database, self.running, self.clock).create(f"k{len(self.model.tokens)}")
        self.model.tokens.append(Token(made.secret.reveal().encode(), self.model.newest))

    @rule(data=st.data())
    def use_a_key(self, data: st.DataObject) -> None:
        token = data.draw(st.sampled_from(self.model.tokens))
        assert self.admitted(token) == token.alive
        self.proxy.flush()
        if token.alive:
            token.pepper = self.model.newest

    @rule()
    def rotate_pepper(self) -> None:
        if self.model.stragglers:
            with pytest.raises(Conflict):
                self.peppers().rotate()
            return
        self.model.peppers = {self.model.newest, self.model.newest + 1}
        self.model.newest += 1
        assert self.peppers().rotate() == self.model.newest

    @rule(losing=st.booleans())
    def finish_the_pepper(self, losing: bool) -> None:
        if self.model.stragglers and not losing:
            with pytest.raises(Conflict):
                self.peppers().finish()
            return
        lost = self.peppers().finish(losing=losing).lost
        assert len(lost) == len(self.model.stragglers)
        for token in self.model.stragglers:
            token.alive = False
        self.model.peppers = {self.model.newest}

    # What holds at all times

    @invariant()
    def the_running_process_reads_every_secret_and_no_damaged_one(self) -> None:
        upstreams = Upstreams(self.database, self.running, self.clock)
        for name, secret in self.model.upstreams.items():
            if name in self.model.damaged:
                with pytest.raises(SealError):
                    upstreams.open(name)
            else:
                found = upstreams.open(name).secret
                assert found is not None
                assert found.reveal() == secret

    @invariant()
    def the_stragglers_are_those_of_the_model(self) -> None:
        assert len(self.peppers().stragglers()) == len(self.model.stragglers)
        assert {pepper.version for pepper in self.running.status().peppers} == self.model.peppers
        assert len(self.model.peppers) <= 2

    @invariant()
    def one_data_key_of_each_compartment_is_primary(self) -> None:
        keys = self.running.status().data_keys
        for compartment in Compartment:
            states = [key.state for key in keys if key.compartment is compartment]
            assert states.count("primary") == 1
            assert states[-1] == "primary"

    def admitted(self, token: Token) -> bool:
        with self.database.read() as tx:
            self.proxy.refresh(epochs.current(tx)[0])
        return self.proxy.authenticate(token.secret, self.clock.now_ms()) is not None


def test_the_vault_follows_its_model_through_any_life() -> None:
    profile = settings(
        max_examples=12,
        stateful_step_count=20,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(VaultMachine, settings=profile)
