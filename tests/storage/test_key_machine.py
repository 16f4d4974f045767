"""The life of a key against a simple model: any order of commands, uses and passing time (SQLite, for speed)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
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

from keyvault.alerts import Alerts
from keyvault.domain.keys import GenerationState, KeyState
from keyvault.errors import Conflict, UsageError
from keyvault.keys.customers import Customers
from keyvault.keys.directory import Directory
from keyvault.keys.lifecycle import Keys
from keyvault.keys.locks import Locks
from keyvault.keys.rotating import Rotations
from keyvault.storage import epochs, migrations
from keyvault.storage.engine import Database
from tests.conftest import FrozenClock
from tests.pepper import FixedPepper

HOURS = st.sampled_from([48, 24, 1, 0])
LIVE = ("pending", "active", "grace")


@dataclass
class ModelGeneration:
    """What a generation should be: `until` ends its grace."""

    secret: bytes
    grace: int
    state: str
    until: int | None = None


@dataclass
class ModelKey:
    """What a key should be."""

    expires: int | None
    state: str = "active"
    generations: list[ModelGeneration] = field(default_factory=list)

    def at(self, number: int, now: int) -> str:
        generation = self.generations[number]
        over = generation.state == "grace" and generation.until is not None and generation.until <= now
        return "expired" if over else generation.state

    def first(self, state: str, now: int) -> int | None:
        return next((n for n in range(len(self.generations)) if self.at(n, now) == state), None)

    def expired(self, now: int) -> bool:
        return self.expires is not None and self.expires <= now

    def admits(self, number: int, now: int) -> bool:
        return self.state == "active" and not self.expired(now) and self.at(number, now) in LIVE

    def end_graces(self) -> None:
        """For good: a clock that goes back revives none."""
        for generation in self.generations:
            if generation.state == "grace":
                generation.state = "expired"

    def activate(self, number: int, now: int) -> None:
        if self.generations[number].state != "pending":
            return
        self.end_graces()
        old = self.first("active", now)
        if old is not None:
            ends = [now + self.generations[number].grace] + ([self.expires] if self.expires is not None else [])
            self.generations[old].state, self.generations[old].until = "grace", min(ends)
        self.generations[number].state = "active"


class KeyMachine(RuleBasedStateMachine):
    """One key, one customer, one proxy. Hours are milliseconds here and there."""

    database: Database

    def __init__(self) -> None:
        super().__init__()
        with self.database.write() as tx:
            for table in ("key_generations", "keys", "projects", "customers", "audit"):
                tx.exec_driver_sql(f"DELETE FROM {table}")
        self.clock = FrozenClock()
        self.customers = Customers(self.database, self.clock)
        self.keys = Keys(self.database, FixedPepper(), self.clock)
        locks = Locks(self.database, Path("/nonexistent"))
        alerts = Alerts(self.database, self.clock)
        self.rotations = Rotations(self.database, self.keys, FixedPepper(), self.clock, alerts, locks)
        self.proxy = Directory(self.database, FixedPepper().peppers, clock=self.clock)
        self.proxy.load()
        self.model: ModelKey
        self.customer_suspended = False

    @property
    def now(self) -> int:
        return self.clock.ms

    @initialize(lifetime=st.sampled_from([24, 6, None]))
    def create(self, lifetime: int | None) -> None:
        expires_at = None if lifetime is None else self.clock.now() + timedelta(hours=lifetime)
        minted = self.keys.create("bot", project="acme/web", create_missing=True, expires_at=expires_at)
        expires = None if lifetime is None else self.now + lifetime * 3_600_000
        self.model = ModelKey(expires, generations=[ModelGeneration(minted.secret.reveal().encode(), 0, "active")])

    @rule(hours=HOURS, end_grace=st.booleans())
    def rotate(self, hours: int, end_grace: bool) -> None:
        model = self.model
        pending, grace = model.first("pending", self.now), model.first("grace", self.now)
        blocked = not end_grace and (pending is not None or grace is not None)
        if model.state == "revoked" or model.expired(self.now) or blocked:
            with pytest.raises(Conflict):
                self.keys.rotate("bot", timedelta(hours=hours), end_grace=end_grace)
            return
        rotation = self.keys.rotate("bot", timedelta(hours=hours), end_grace=end_grace)
        assert rotation.secret is not None
        assert rotation.generation == len(model.generations) + 1
        if pending is not None:
            model.generations[pending].state = "abandoned"
        model.end_graces()
        model.generations.append(ModelGeneration(rotation.secret.reveal().encode(), hours * 3_600_000, "pending"))

    @rule(data=st.data(), delivered=st.booleans())
    def acknowledge_or_use(self, data: st.DataObject, delivered: bool) -> None:
        newest = len(self.model.generations) - 1
        number = newest - data.draw(st.integers(0, newest))
        if delivered:
            self.acknowledge(number)
        else:
            self.use(number)

    @precondition(lambda self: len(self.model.generations) > 2)  # a revoked key is the end of the story
    @rule()
    def revoke(self) -> None:
        model = self.model
        self.keys.revoke("bot")
        model.state = "revoked"
        for generation in model.generations:
            if generation.state in LIVE:
                generation.state = "revoked"

    @rule(on=st.booleans(), whole_customer=st.booleans())
    def suspend_or_resume(self, on: bool, whole_customer: bool) -> None:
        change = self.keys.suspend if on else self.keys.resume
        if whole_customer:
            self.customers.update("acme", suspended=on)
            self.customer_suspended = on
        elif self.model.state == "revoked":
            with pytest.raises(Conflict):
                change("bot")
        else:
            change("bot")
            self.model.state = "suspended" if on else "active"

    @rule(hours=st.integers(1, 30))
    def time_passes(self, hours: int) -> None:
        self.clock.advance(seconds=hours * 3600)

    @rule(hours=st.integers(1, 10))
    def the_clock_goes_back(self, hours: int) -> None:
        self.clock.advance(seconds=-hours * 3600)

    @rule()
    def abandon(self) -> None:
        """A delivery that failed, of the newest generation; one that is not pending stays what it is."""
        newest = len(self.model.generations)
        self.keys.abandon("bot", newest)
        if self.model.generations[-1].state == "pending":
            self.model.generations[-1].state = "abandoned"

    @rule(hours=HOURS)
    def a_rotation_dies_and_the_next_one_converges(self, hours: int) -> None:
        """The first one is gone after it minted; what it minted is dropped by the one that finds it, unless refused."""
        model, now = self.model, self.now
        if model.state == "revoked" or model.expired(now) or model.first("grace", now) is not None:
            return
        key = self.keys.get("bot")
        dead = key.generation_in(GenerationState.PENDING, self.clock.now())
        rotation = self.keys.rotate("bot", timedelta(hours=hours), dead=dead)
        assert rotation.secret is not None
        if dead is not None:
            model.generations[dead.number - 1].state = "abandoned"
        model.end_graces()
        model.generations.append(ModelGeneration(rotation.secret.reveal().encode(), hours * 3_600_000, "pending"))

    @rule()
    def end_grace(self) -> None:
        old = self.model.first("grace", self.now)
        if self.model.state == "revoked" or old is None:
            with pytest.raises(Conflict):
                self.rotations.end_grace("bot")
            return
        self.rotations.end_grace("bot")
        self.model.generations[old].state = "expired"

    @rule(hours=st.integers(1, 30))
    def extend_grace(self, hours: int) -> None:
        old, expires = self.model.first("grace", self.now), self.model.expires
        if self.model.state == "revoked" or old is None:
            with pytest.raises(Conflict):
                self.rotations.extend_grace("bot", timedelta(hours=hours))
            return
        generation = self.model.generations[old]
        assert generation.until is not None
        end = generation.until + hours * 3_600_000
        end = end if expires is None else min(end, expires)
        if end <= generation.until:
            with pytest.raises(UsageError):
                self.rotations.extend_grace("bot", timedelta(hours=hours))
            return
        self.rotations.extend_grace("bot", timedelta(hours=hours))
        generation.until = end

    @invariant()
    def exactly_the_right_tokens_are_admitted(self) -> None:
        for number, generation in enumerate(self.model.generations):
            caller = self.authenticate(generation.secret)
            admitted = self.model.admits(number, self.now) and not self.customer_suspended
            assert (caller is not None) == admitted
            assert caller is None or caller.generation == number + 1

    @invariant()
    def the_states_are_those_of_the_model(self) -> None:
        key = self.keys.get("bot")
        assert key.state is KeyState(self.model.state)
        states = [generation.state_at(self.clock.now()).value for generation in reversed(key.generations)]
        assert states == [self.model.at(number, self.now) for number in range(len(self.model.generations))]
        for state in (GenerationState.PENDING, GenerationState.ACTIVE, GenerationState.GRACE):
            assert states.count(state.value) <= 1

    def acknowledge(self, number: int) -> None:
        generation = self.model.generations[number]
        if self.model.state == "revoked" or generation.state in ("abandoned", "revoked"):
            with pytest.raises(Conflict):
                self.keys.acknowledge("bot", number + 1)
            return
        self.keys.acknowledge("bot", number + 1)
        self.model.activate(number, self.now)

    def use(self, number: int) -> None:
        caller = self.authenticate(self.model.generations[number].secret)
        if caller is not None:
            self.proxy.used(caller, self.now, "client", "127.0.0.1")
            self.proxy.flush()
            self.model.activate(number, self.now)

    def authenticate(self, secret: bytes):  # type: ignore[no-untyped-def]
        with self.database.read() as tx:
            self.proxy.refresh(epochs.current(tx)[0])
        return self.proxy.authenticate(secret, self.now)


def test_a_key_follows_its_model_through_any_life(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'gateway.db'}")
    migrations.upgrade(database)
    here = type("KeyMachine", (KeyMachine,), {"database": database})
    profile = settings(
        max_examples=100,
        stateful_step_count=25,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(here, settings=profile)
    database.close()
