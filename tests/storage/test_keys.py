"""The life of a key, on both databases: create, rotate, acknowledge, suspend, revoke."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from keyvault import audit
from keyvault.clock import Clock
from keyvault.domain.keys import GenerationState, KeyState, Policy
from keyvault.domain.vault import Compartment
from keyvault.errors import Conflict, Locked, NotFound, UsageError
from keyvault.keys import token
from keyvault.keys.customers import Customers
from keyvault.keys.lifecycle import Keys
from keyvault.keys.rotation import Rotation
from keyvault.storage import audit as audit_rows
from keyvault.storage.engine import Database
from tests.conftest import FrozenClock
from tests.pepper import FixedPepper

DAY = timedelta(days=1)
PENDING, ACTIVE, GRACE = GenerationState.PENDING, GenerationState.ACTIVE, GenerationState.GRACE
EXPIRED, ABANDONED, REVOKED = GenerationState.EXPIRED, GenerationState.ABANDONED, GenerationState.REVOKED


class LockedVault:
    def unlock(self, scope: Compartment) -> FixedPepper:
        raise Locked("the vault is locked")


@pytest.fixture
def keys(database: Database, clock: Clock) -> Keys:
    Customers(database, clock).ensure_default()
    return Keys(database, FixedPepper(), clock)


def states(keys: Keys, clock: Clock, name: str = "ci-bot") -> list[GenerationState]:
    """The generations' states as they count now, newest first."""
    return [generation.state_at(clock.now()) for generation in keys.get(name).generations]


def test_a_policy_stored_before_a_field_existed_has_the_field_s_usual_value(keys: Keys, database: Database) -> None:
    keys.create("ci-bot", policy=Policy(models=("gpt-*",), pin=True))
    with database.write() as tx:
        tx.exec_driver_sql("""UPDATE keys SET policy = '{"models": ["gpt-*"]}'""")
    assert keys.get("ci-bot").policy == Policy(models=("gpt-*",))


# --- create -------------------------------------------------------------------------------------------------------


def test_a_new_key_has_one_active_generation_and_its_secret_once(keys: Keys, clock: Clock) -> None:
    minted = keys.create("ci-bot", env="test", policy=Policy(models=("gpt-*",)), tags={"team": "a"})
    assert token.parse(minted.secret.reveal().encode()) == minted.key.public_id
    assert minted.secret.reveal().startswith("sk-gw_test_")
    assert (minted.key.customer, minted.key.project, minted.key.env) == ("default", "default", "test")
    assert (minted.key.state, minted.key.policy, minted.key.tags) == (
        KeyState.ACTIVE,
        Policy(("gpt-*",)),
        {"team": "a"},
    )
    (generation,) = minted.key.generations
    assert (generation.number, generation.state, generation.activated_at) == (1, ACTIVE, clock.now())
    assert generation.masked == token.mask(minted.secret.reveal())
    assert keys.get("CI-Bot") == minted.key


def test_only_the_keys_compartment_is_opened(database: Database, clock: Clock) -> None:
    Customers(database, clock).ensure_default()
    vault = FixedPepper()
    Keys(database, vault, clock).create("ci-bot")
    assert vault.opened == [Compartment.KEYS]


def test_the_secret_is_nowhere_in_the_database(keys: Keys, database: Database) -> None:
    secret = keys.create("ci-bot").secret.reveal()
    with database.read() as tx:
        for table in sa.inspect(tx).get_table_names():
            stored = str(tx.exec_driver_sql(f"SELECT * FROM {table}").all())
            assert secret not in stored
            assert secret[24:67] not in stored


def test_a_key_name_is_taken_in_every_case(keys: Keys) -> None:
    keys.create("CI-bot")
    with pytest.raises(Conflict, match="key CI-bot exists already"):
        keys.create("ci-BOT")


def test_an_unknown_project_is_not_found_with_a_hint(keys: Keys) -> None:
    with pytest.raises(NotFound) as caught:
        keys.create("ci-bot", project="acme/web")
    assert caught.value.hint == "gwctl projects create acme/web, or add --create"
    with pytest.raises(NotFound) as caught:
        keys.create("ci-bot", project="defualt/default")
    assert caught.value.hint == "did you mean default/default?"
    assert keys.list() == []


def test_missing_customers_and_projects_are_created_when_asked(keys: Keys) -> None:
    assert keys.create("a", project="acme/web", create_missing=True).key.customer == "acme"
    assert keys.create("b", project="ACME/api", create_missing=True).key.customer == "acme"


def test_nonsense_is_refused_before_anything_is_made(keys: Keys, clock: Clock) -> None:
    with pytest.raises(UsageError, match="environment"):
        keys.create("ci-bot", env="prod")
    with pytest.raises(UsageError, match="no such endpoint"):
        keys.create("ci-bot", policy=Policy(endpoints=("chta",)))
    with pytest.raises(UsageError, match="pattern"):
        keys.create("ci-bot", policy=Policy(models=("a b",)))
    with pytest.raises(UsageError, match="already past"):
        keys.create("ci-bot", expires_at=clock.now())
    with pytest.raises(UsageError, match="not a valid key name"):
        keys.create("ci\nbot")
    assert keys.list() == []


def test_a_secret_in_the_place_of_a_name_is_not_repeated(keys: Keys) -> None:
    secret = keys.create("ci-bot").secret.reveal()
    for attempt in (keys.get, keys.revoke, keys.create):
        with pytest.raises((NotFound, UsageError)) as caught:
            attempt(secret)
        assert secret[11:40] not in caught.value.message


def test_creating_needs_the_vault_and_taking_away_does_not(keys: Keys, database: Database, clock: Clock) -> None:
    keys.create("ci-bot")
    locked = Keys(database, LockedVault(), clock)
    with pytest.raises(Locked):
        locked.create("other")
    with pytest.raises(Locked):
        locked.rotate("ci-bot", DAY)
    locked.suspend("ci-bot")
    locked.resume("ci-bot")
    assert locked.revoke("ci-bot").state is KeyState.REVOKED


# --- list, get, update --------------------------------------------------------------------------------------------


def test_keys_are_listed_by_name_customer_and_project(keys: Keys) -> None:
    keys.create("zeta", project="acme/web", create_missing=True)
    keys.create("Beta", project="acme/api", create_missing=True)
    keys.create("alpha")
    assert [k.name for k in keys.list()] == ["alpha", "Beta", "zeta"]
    assert [k.name for k in keys.list(customer="ACME")] == ["Beta", "zeta"]
    assert [k.name for k in keys.list(project="acme/web")] == ["zeta"]
    with pytest.raises(NotFound, match="no such customer"):
        keys.list(customer="nobody")


def test_an_unknown_key_is_not_found_and_the_nearest_is_hinted(keys: Keys) -> None:
    keys.create("ci-bot")
    with pytest.raises(NotFound) as caught:
        keys.get("ci-bto")
    assert caught.value.hint == "did you mean ci-bot?"


def test_what_an_update_does_not_name_stays(keys: Keys, clock: Clock) -> None:
    keys.create("ci-bot", policy=Policy(expose=True), expires_at=clock.now() + DAY, tags={"a": "1"})
    changed = keys.update("ci-bot", policy=Policy(pin=True))
    assert (changed.policy, changed.expires_at, changed.tags) == (Policy(pin=True), clock.now() + DAY, {"a": "1"})
    assert keys.update("ci-bot", expires_at=None).expires_at is None
    assert keys.update("ci-bot", tags={}).tags == {}


# --- rotate -------------------------------------------------------------------------------------------------------


def test_a_rotation_is_pending_until_it_is_acknowledged(keys: Keys, clock: FrozenClock) -> None:
    first = keys.create("ci-bot").secret
    rotation = keys.rotate("ci-bot", DAY)
    assert rotation.secret is not None
    assert rotation.secret != first
    assert (rotation.changed, rotation.generation, rotation.previous_generation) == (True, 2, 1)
    assert rotation.previous_valid_until is None
    assert states(keys, clock) == [PENDING, ACTIVE]

    clock.advance(days=3)
    acknowledged = keys.acknowledge("ci-bot", 2)
    assert states(keys, clock) == [ACTIVE, GRACE]
    assert acknowledged.generations[0].activated_at == clock.now()
    assert acknowledged.generations[1].valid_until == clock.now() + DAY, "the grace starts at activation"

    clock.advance(days=1)
    assert states(keys, clock) == [ACTIVE, EXPIRED]


def test_both_generations_carry_the_same_public_id(keys: Keys) -> None:
    first = keys.create("ci-bot")
    second = keys.rotate("ci-bot", DAY).secret
    assert second is not None
    assert token.parse(second.reveal().encode()) == first.key.public_id


def test_acknowledging_twice_changes_nothing(keys: Keys, clock: FrozenClock) -> None:
    keys.create("ci-bot")
    keys.rotate("ci-bot", DAY)
    once = keys.acknowledge("ci-bot", 2)
    clock.advance(seconds=60)
    assert keys.acknowledge("ci-bot", 2) == once


def test_a_grace_of_nothing_ends_the_old_generation_at_once(keys: Keys, clock: Clock) -> None:
    keys.create("ci-bot")
    keys.rotate("ci-bot", timedelta())
    keys.acknowledge("ci-bot", 2)
    assert states(keys, clock) == [ACTIVE, EXPIRED]


def test_a_grace_never_reaches_past_the_expiry(keys: Keys, clock: Clock) -> None:
    expiry = clock.now() + timedelta(hours=1)
    keys.create("ci-bot", expires_at=expiry)
    keys.rotate("ci-bot", DAY)
    assert keys.acknowledge("ci-bot", 2).generations[1].valid_until == expiry


def test_a_second_rotation_is_refused_while_one_is_pending_or_in_grace(keys: Keys, clock: FrozenClock) -> None:
    keys.create("ci-bot")
    keys.rotate("ci-bot", DAY)
    with pytest.raises(Conflict, match="generation 2 is pending"):
        keys.rotate("ci-bot", DAY)
    keys.acknowledge("ci-bot", 2)
    with pytest.raises(Conflict, match="generation 1 is still in grace") as caught:
        keys.rotate("ci-bot", DAY)
    assert caught.value.hint == "gwctl keys rotate ci-bot --end-grace"
    clock.advance(days=1)
    assert keys.rotate("ci-bot", DAY).generation == 3


def test_ending_the_grace_makes_room_for_another_rotation(keys: Keys, clock: FrozenClock) -> None:
    keys.create("ci-bot")
    keys.rotate("ci-bot", DAY)
    keys.rotate("ci-bot", DAY, end_grace=True)
    assert states(keys, clock) == [PENDING, ABANDONED, ACTIVE]
    keys.acknowledge("ci-bot", 3)
    keys.rotate("ci-bot", DAY, end_grace=True)
    assert states(keys, clock) == [PENDING, ACTIVE, ABANDONED, EXPIRED]


def test_a_young_key_is_left_alone_when_only_older_ones_are_due(keys: Keys, clock: FrozenClock) -> None:
    keys.create("ci-bot")
    clock.advance(days=29)
    left = keys.rotate("ci-bot", DAY, if_older_than=30 * DAY)
    assert (left.changed, left.secret, left.generation, left.reason) == (
        False,
        None,
        1,
        "generation 1 is only 29d old",
    )
    clock.advance(days=1)
    assert keys.rotate("ci-bot", DAY, if_older_than=30 * DAY).changed
    assert not keys.rotate("ci-bot", DAY, if_older_than=30 * DAY).changed, "the pending one is young"


def test_a_failed_delivery_leaves_the_old_generation_as_it_was(keys: Keys, clock: Clock) -> None:
    keys.create("ci-bot")
    keys.rotate("ci-bot", DAY)
    keys.abandon("ci-bot", 2)
    assert states(keys, clock) == [ABANDONED, ACTIVE]
    with pytest.raises(Conflict, match="abandoned"):
        keys.acknowledge("ci-bot", 2)
    assert keys.rotate("ci-bot", DAY).generation == 3
    keys.acknowledge("ci-bot", 3)
    keys.abandon("ci-bot", 3)
    assert states(keys, clock)[0] is ACTIVE, "what is active cannot be abandoned"


def test_an_unknown_generation_cannot_be_acknowledged(keys: Keys) -> None:
    keys.create("ci-bot")
    with pytest.raises(NotFound, match="no generation 7"):
        keys.acknowledge("ci-bot", 7)


@pytest.mark.parametrize("grace", [timedelta(seconds=-1), timedelta(days=366)])
def test_an_absurd_grace_is_refused(keys: Keys, grace: timedelta) -> None:
    keys.create("ci-bot")
    with pytest.raises(UsageError, match="grace"):
        keys.rotate("ci-bot", grace)


def test_an_expired_key_is_not_rotated(keys: Keys, clock: FrozenClock) -> None:
    keys.create("ci-bot", expires_at=clock.now() + DAY)
    clock.advance(days=1)
    with pytest.raises(Conflict, match="has expired"):
        keys.rotate("ci-bot", DAY)
    keys.update("ci-bot", expires_at=clock.now() + DAY)
    assert keys.rotate("ci-bot", DAY).changed


def test_twelve_rotations_at_once_make_one_new_secret(keys: Keys) -> None:
    keys.create("ci-bot")
    together = threading.Barrier(12)

    def rotate(_: int) -> Rotation | Conflict:
        together.wait()
        try:
            return keys.rotate("ci-bot", DAY)
        except Conflict as error:
            return error

    with ThreadPoolExecutor(12) as threads:
        results = list(threads.map(rotate, range(12)))
    assert [r.generation for r in results if isinstance(r, Rotation)] == [2]
    assert sum(isinstance(r, Conflict) for r in results) == 11
    assert len(keys.get("ci-bot").generations) == 2


def test_two_crons_that_rotate_only_old_keys_both_end_well(keys: Keys, clock: FrozenClock) -> None:
    keys.create("ci-bot")
    clock.advance(days=31)
    with ThreadPoolExecutor(12) as threads:
        results = list(threads.map(lambda _: keys.rotate("ci-bot", DAY, if_older_than=30 * DAY), range(12)))
    assert sorted(r.changed for r in results) == [False] * 11 + [True]
    assert sum(r.secret is not None for r in results) == 1


# --- suspend, resume, revoke --------------------------------------------------------------------------------------


def test_a_suspended_key_can_be_resumed(keys: Keys) -> None:
    keys.create("ci-bot")
    assert keys.suspend("ci-bot").state is KeyState.SUSPENDED
    assert keys.suspend("ci-bot").state is KeyState.SUSPENDED
    assert keys.resume("ci-bot").state is KeyState.ACTIVE
    assert keys.resume("ci-bot").state is KeyState.ACTIVE


def test_nothing_brings_a_revoked_key_back(keys: Keys, clock: Clock) -> None:
    keys.create("ci-bot")
    keys.rotate("ci-bot", DAY)
    assert keys.revoke("ci-bot").state is KeyState.REVOKED
    assert states(keys, clock) == [REVOKED, REVOKED]
    assert keys.revoke("ci-bot").state is KeyState.REVOKED
    for attempt in (
        keys.suspend,
        keys.resume,
        lambda n: keys.rotate(n, DAY),
        lambda n: keys.acknowledge(n, 2),
        keys.update,
    ):
        with pytest.raises(Conflict, match="key ci-bot is revoked"):
            attempt("ci-bot")


def test_every_change_is_audited_once_and_never_with_the_secret(keys: Keys, database: Database) -> None:
    secret = keys.create("ci-bot").secret.reveal()
    keys.rotate("ci-bot", DAY)
    keys.acknowledge("ci-bot", 2)
    for change in (keys.suspend, keys.suspend, keys.resume, keys.revoke, keys.revoke, keys.get):
        change("ci-bot")
    with database.read() as tx:
        entries = audit_rows.oldest_first(tx)
        assert audit.verify(tx) is None
    actions = [row["action"] for row in entries if row["scope"] == "key:ci-bot"]
    assert actions == ["keys.create", "keys.rotate", "keys.activate", "keys.suspend", "keys.resume", "keys.revoke"]
    assert secret not in str(entries)
