"""Taking access away and giving it back, and waiting until every worker acts by it, on both databases."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from keyvault.clock import Clock
from keyvault.domain.keys import Key, KeyState
from keyvault.domain.vault import Compartment
from keyvault.errors import CheckFailed, Conflict, Locked, NotFound
from keyvault.keys.customers import Customers
from keyvault.keys.lifecycle import Keys
from keyvault.keys.stopping import Stops
from keyvault.secrets import Secret
from keyvault.storage.engine import Database
from keyvault.workers import LIVE, Workers
from tests.conftest import FrozenClock
from tests.pepper import FixedPepper

LIMIT = timedelta(seconds=10)


class LockedVault:
    def unlock(self, scope: Compartment) -> FixedPepper:
        raise Locked("the vault is locked")


@pytest.fixture
def keys(database: Database, clock: Clock) -> Keys:
    Customers(database, clock).ensure_default()
    return Keys(database, FixedPepper(), clock)


@pytest.fixture
def stops(database: Database, clock: Clock) -> Stops:
    return Stops(database, FixedPepper(), clock)


def named(found: list[Key] | tuple[Key, ...]) -> list[str]:
    return [key.name for key in found]


# --- revoking several, and by a token -------------------------------------------------------------------------------


def test_several_keys_are_revoked_at_once_or_none_of_them(keys: Keys, stops: Stops) -> None:
    for name in ("a", "b", "c"):
        keys.create(name)
    with pytest.raises(NotFound):
        stops.revoke(["a", "nobody"])
    assert keys.get("a").state is KeyState.ACTIVE
    assert [key.state for key in stops.revoke(["a", "B", "b"])] == [KeyState.REVOKED] * 2
    assert keys.get("c").state is KeyState.ACTIVE


def test_a_token_leads_to_its_key_and_generation(keys: Keys, stops: Stops) -> None:
    first = keys.create("ci-bot").secret
    second = keys.rotate("ci-bot", timedelta(hours=1)).secret
    assert second is not None
    for secret, number in ((first, 1), (second, 2)):
        holder = stops.holder(secret)
        assert holder.generation is not None
        assert (holder.key.name, holder.generation.number, holder.unverified) == ("ci-bot", number, None)


def test_a_token_that_only_bears_a_key_s_id_is_not_believed(keys: Keys, stops: Stops, database: Database) -> None:
    keys.create("ci-bot")
    elsewhere = Keys(database, OtherPepper(), Clock()).create("other").secret
    with pytest.raises(CheckFailed, match="bears the id of key other and is none of its secrets"):
        stops.holder(elsewhere)
    with pytest.raises(NotFound):
        stops.holder(Secret("sk-something-else"))


class OtherPepper(FixedPepper):
    def pepper(self) -> tuple[int, bytes]:
        return 1, b"\x02" * 32


def test_while_the_vault_is_locked_the_id_in_the_token_decides_and_that_is_said(
    keys: Keys, database: Database, clock: Clock
) -> None:
    secret = keys.create("ci-bot").secret
    stops = Stops(database, LockedVault(), clock)
    holder = stops.holder(secret)
    assert (holder.key.name, holder.generation, holder.unverified) == ("ci-bot", None, "the vault is locked")
    assert stops.revoke([holder.key.name])[0].state is KeyState.REVOKED
    with pytest.raises(Locked):
        stops.holder(Secret("a-token-of-another-gateway"))


# --- deleting and restoring -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [KeyState.ACTIVE, KeyState.SUSPENDED, KeyState.REVOKED])
def test_a_deleted_key_is_hidden_and_comes_back_as_it_was(keys: Keys, stops: Stops, state: KeyState) -> None:
    keys.create("ci-bot")
    if state is KeyState.SUSPENDED:
        keys.suspend("ci-bot")
    elif state is KeyState.REVOKED:
        keys.revoke("ci-bot")
    assert stops.delete("ci-bot").state is KeyState.DELETED
    assert (keys.list(), named(list(keys.list(deleted=True)))) == ([], ["ci-bot"])
    with pytest.raises(Conflict):
        keys.resume("ci-bot")
    assert stops.restore("ci-bot").state is state
    assert named(list(keys.list())) == ["ci-bot"]


def test_a_key_can_be_restored_for_seven_days_and_not_a_moment_longer(
    keys: Keys, stops: Stops, clock: FrozenClock
) -> None:
    keys.create("ci-bot")
    with pytest.raises(Conflict, match="is not deleted"):
        stops.restore("ci-bot")
    stops.delete("ci-bot")
    clock.advance(days=7)
    with pytest.raises(Conflict, match="more than 7 days ago"):
        stops.restore("ci-bot")
    clock.advance(seconds=-1)
    assert stops.restore("ci-bot").state is KeyState.ACTIVE


def test_the_name_of_a_deleted_key_is_kept_for_it_and_free_afterwards(
    keys: Keys, stops: Stops, clock: FrozenClock
) -> None:
    old = keys.create("ci-bot").key
    stops.delete("ci-bot")
    with pytest.raises(Conflict, match="can be restored for another 7d") as refused:
        keys.create("CI-bot")
    assert refused.value.hint == "gwctl keys restore ci-bot, or gwctl keys delete ci-bot --purge"
    clock.advance(days=7)
    new = keys.create("ci-bot").key
    assert new.id != old.id
    assert (named(list(keys.list())), list(keys.list(deleted=True))) == (["ci-bot"], [])


def test_a_purged_key_does_not_come_back_and_its_name_is_free_at_once(keys: Keys, stops: Stops) -> None:
    secret = keys.create("ci-bot").secret
    purged = stops.delete("ci-bot", purge=True)
    assert (purged.name, purged.state) == ("ci-bot", KeyState.DELETED)
    with pytest.raises(NotFound):
        stops.restore("ci-bot")
    assert keys.create("ci-bot").key.id != purged.id
    assert stops.holder(secret).key.id == purged.id


def test_a_deleted_key_can_be_revoked_and_is_then_restored_as_revoked(keys: Keys, stops: Stops) -> None:
    keys.create("ci-bot")
    stops.delete("ci-bot")
    stops.revoke(["ci-bot"])
    assert stops.restore("ci-bot").state is KeyState.REVOKED


# --- what is above a key --------------------------------------------------------------------------------------------


def test_a_key_tells_what_above_it_is_suspended(database: Database, clock: Clock, keys: Keys, stops: Stops) -> None:
    customers = Customers(database, clock)
    keys.create("ci-bot", project="acme/web", create_missing=True)
    assert keys.get("ci-bot").suspended_by is None
    customers.update_project("acme/web", suspended=True)
    assert keys.get("ci-bot").suspended_by == "project:acme/web"
    customers.update("acme", suspended=True)
    assert keys.get("ci-bot").suspended_by == "customer:acme"
    assert stops.suspend_everybody()
    assert not stops.suspend_everybody()
    assert (keys.get("ci-bot").suspended_by, keys.get("ci-bot").state) == ("all", KeyState.ACTIVE)
    assert stops.resume_everybody()
    assert (keys.get("ci-bot").suspended_by, stops.everybody_suspended) == ("customer:acme", False)


# --- waiting for workers --------------------------------------------------------------------------------------------


class Fleet:
    """Workers that follow at the times a test says, while somebody waits."""

    def __init__(self, database: Database, clock: FrozenClock, count: int) -> None:
        self.clock = clock
        self.slept = 0
        self.steps: dict[int, list[str]] = {}
        self.registry = Workers(database, clock, sleep=self._sleep)
        self.ids = [self.registry.register("127.0.0.1:1", "127.0.0.1:2", "1") for _ in range(count)]

    def _sleep(self, seconds: float) -> None:
        self.clock.advance(seconds=seconds)
        self.slept += 1
        for worker in self.steps.get(self.slept, ()):
            self.follow(worker)

    def follow(self, worker: str, **state: object) -> None:
        self.registry.beat(worker, {"applied": dict(self.registry.epochs()), **state})


def test_waiting_ends_when_the_last_of_several_workers_has_applied_the_change(
    database: Database, clock: FrozenClock, keys: Keys
) -> None:
    fleet = Fleet(database, clock, 4)
    for worker in fleet.ids:
        fleet.follow(worker)
    keys.create("ci-bot")
    keys.revoke("ci-bot")
    fleet.steps = {1: fleet.ids[:2], 2: fleet.ids[2:3], 3: fleet.ids[3:]}
    applied = fleet.registry.wait("keys", LIMIT)
    assert (len(applied.done), applied.missing, fleet.slept) == (4, (), 3)
    assert applied.seconds == pytest.approx(0.06)


def test_a_worker_that_does_not_follow_is_named_at_the_limit(database: Database, clock: FrozenClock) -> None:
    fleet = Fleet(database, clock, 2)
    fleet.follow(fleet.ids[0])
    applied = fleet.registry.wait("keys", timedelta(seconds=1))
    assert [worker.id for worker in applied.missing] == [fleet.ids[1]]
    assert [worker.id for worker in applied.done] == [fleet.ids[0]]


def test_a_worker_that_falls_silent_meanwhile_is_not_waited_for(database: Database, clock: FrozenClock) -> None:
    fleet = Fleet(database, clock, 1)
    applied = fleet.registry.wait("keys", LIVE + timedelta(seconds=5))
    assert (applied.done, applied.missing) == ((), ())
    assert applied.seconds < 6


def test_where_no_worker_is_live_there_is_nobody_to_wait_for(database: Database, clock: FrozenClock) -> None:
    applied = Fleet(database, clock, 0).registry.wait("keys", LIMIT)
    assert (applied.done, applied.missing, applied.seconds) == ((), (), 0)


def test_a_command_is_waited_for_until_every_worker_has_answered_it(database: Database, clock: FrozenClock) -> None:
    fleet = Fleet(database, clock, 2)
    command = fleet.registry.order("cut", {"keys": [7]})
    for worker in fleet.ids:
        fleet.follow(worker)
    answer(fleet.registry, fleet.ids[0], {"cut": 2})
    assert [w.id for w in fleet.registry.wait("keys", timedelta(seconds=1), command=command).missing] == fleet.ids[1:]
    for worker in fleet.ids:
        fleet.follow(worker)
    answer(fleet.registry, fleet.ids[1], {"cut": 3})
    applied = fleet.registry.wait("keys", LIMIT, command=command)
    assert sorted(result["cut"] for result in applied.results) == [2, 3]
    assert fleet.registry.pending(fleet.ids[0]) == []


def answer(registry: Workers, worker: str, result: Mapping[str, int]) -> None:
    registry.acknowledge(worker, {command.id: result for command in registry.pending(worker)})


def test_commands_are_cleared_away_after_an_hour(database: Database, clock: FrozenClock) -> None:
    fleet = Fleet(database, clock, 1)
    fleet.registry.order("cut", {"keys": [1]})
    clock.advance(seconds=3601)
    newest = fleet.registry.order("cut", {"keys": [2]})
    assert [command.id for command in fleet.registry.pending(fleet.ids[0])] == [newest.id]
