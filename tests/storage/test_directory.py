"""Who is calling: the directory against the database it reads, on both databases."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import FrameType

import pytest

from keyvault.clock import to_ms
from keyvault.domain.keys import GenerationState, Policy
from keyvault.errors import Unavailable
from keyvault.keys import token
from keyvault.keys.customers import Customers
from keyvault.keys.directory import Caller, Directory
from keyvault.keys.lifecycle import Keys
from keyvault.storage import epochs
from keyvault.storage.engine import Database
from tests.conftest import FrozenClock
from tests.pepper import PEPPER, FixedPepper

DAY = timedelta(days=1)


class House:
    """Keys on one side, a proxy's directory on the other."""

    def __init__(self, database: Database, clock: FrozenClock) -> None:
        self.database, self.clock = database, clock
        self.customers = Customers(database, clock)
        self.customers.ensure_default()
        self.keys = Keys(database, FixedPepper(), clock)
        self.directory = Directory(database, FixedPepper().peppers, clock=clock)
        self.directory.load()

    def follow(self) -> None:
        """What the proxy does before each request."""
        with self.database.read() as tx:
            self.directory.refresh(epochs.current(tx)[0])

    def caller(self, secret: str | bytes) -> Caller | None:
        self.follow()
        presented = secret.encode() if isinstance(secret, str) else secret
        return self.directory.authenticate(presented, self.clock.now_ms())

    def create(self, name: str = "ci-bot", **options: object) -> str:
        return self.keys.create(name, **options).secret.reveal()  # type: ignore[arg-type]

    def rotate(self, name: str = "ci-bot", grace: timedelta = DAY) -> str:
        secret = self.keys.rotate(name, grace).secret
        assert secret is not None
        return secret.reveal()

    def use(self, secret: str, client: str | None = "OpenAI/Python 3.3.0", address: str = "10.0.0.7") -> None:
        caller = self.caller(secret)
        assert caller is not None
        self.directory.used(caller, self.clock.now_ms(), client, address)


@pytest.fixture
def house(database: Database, clock: FrozenClock) -> House:
    return House(database, clock)


# --- who ----------------------------------------------------------------------------------------------------------


def test_a_caller_is_known_with_all_a_request_is_decided_by(house: House) -> None:
    policy = Policy(models=("gpt-*",), expose=True)
    secret = house.create(project="acme/web", create_missing=True, env="test", policy=policy, tags={"team": "a"})
    caller = house.caller(secret)
    assert caller is not None
    key = house.keys.get("ci-bot")
    assert caller == Caller(
        key_id=key.id,
        key_name="ci-bot",
        public_id=key.public_id,
        generation=1,
        customer_id=2,
        customer="acme",
        project="web",
        project_id=2,
        env="test",
        policy=policy,
        multiplier_ppm=1_000_000,
        tags={"team": "a"},
    )


def test_a_directory_that_starts_late_knows_everyone(house: House) -> None:
    secrets = [house.create(f"key-{n}") for n in range(3)]
    late = Directory(house.database, FixedPepper().peppers)
    late.load()
    names = [caller.key_name for s in secrets if (caller := late.authenticate(s.encode(), house.clock.now_ms()))]
    assert names == ["key-0", "key-1", "key-2"]


def test_a_well_formed_token_nobody_minted_is_unknown(house: House) -> None:
    house.create()
    stranger = token.mint("live", "0" * 12, bytes(32))
    assert house.caller(stranger) is None


def test_a_valid_id_with_another_keys_secret_is_unknown_before_and_after_use(house: House) -> None:
    house.create("a")
    b = house.create("b")
    entropy_of_b = int.from_bytes(bytes(32), "big") + house.clock.drawn
    forged = token.mint("live", house.keys.get("a").public_id, entropy_of_b.to_bytes(32, "big"))
    assert forged[24:67] == b[24:67]
    assert house.caller(forged) is None
    assert house.caller(b) is not None
    assert house.caller(forged) is None


def test_a_token_of_the_other_environment_is_unknown(house: House) -> None:
    live = house.create()
    entropy = house.clock.drawn.to_bytes(32, "big")
    test = token.mint("test", house.keys.get("ci-bot").public_id, entropy)
    assert (live[24:67], test[:11]) == (test[24:67], "sk-gw_test_")
    assert house.caller(test) is None


@pytest.mark.parametrize(
    "presented", [b"", b"\xff" * 73, b"sk-", "sk-gw_live_\uff10".encode(), b"\0", b"Bearer x", b"x" * 70_000]
)
def test_any_bytes_may_be_presented(house: House, presented: bytes) -> None:
    assert house.caller(presented) is None


def test_a_token_stored_under_another_pepper_is_unknown(house: House) -> None:
    secret = house.create()
    other = Directory(house.database, lambda: {1: b"\x02" * 32})
    other.load()
    assert other.authenticate(secret.encode(), house.clock.now_ms()) is None


def test_a_new_pepper_is_fetched_when_the_first_token_under_it_appears(house: House) -> None:
    class NewPepper(FixedPepper):
        def pepper(self) -> tuple[int, bytes]:
            return 2, b"\x02" * 32

    peppers = {1: PEPPER}
    house.directory = Directory(house.database, lambda: peppers)
    house.directory.load()
    old = house.create("old")
    assert house.caller(old) is not None
    peppers[2] = b"\x02" * 32
    new = Keys(house.database, NewPepper(), house.clock).create("new").secret.reveal()
    assert house.caller(new) is not None
    assert house.caller(old) is not None


# --- until when ---------------------------------------------------------------------------------------------------


def test_a_revoked_key_is_refused_at_its_next_request(house: House) -> None:
    secret = house.create()
    assert house.caller(secret) is not None
    house.keys.revoke("ci-bot")
    assert house.caller(secret) is None
    assert len(house.directory) == 0


def test_a_revoked_key_that_was_idle_is_refused_at_its_first_request(house: House) -> None:
    secret = house.create()
    house.keys.revoke("ci-bot")
    house.clock.advance(seconds=600)
    assert house.caller(secret) is None


def test_a_suspended_key_is_refused_until_it_is_resumed(house: House) -> None:
    secret = house.create()
    house.keys.suspend("ci-bot")
    assert house.caller(secret) is None
    house.keys.resume("ci-bot")
    assert house.caller(secret) is not None


def test_a_suspended_customer_or_project_refuses_the_keys_below_it_and_no_other(house: House) -> None:
    web = house.create("web", project="acme/web", create_missing=True)
    api = house.create("api", project="acme/api", create_missing=True)
    other = house.create("other", project="bolt/web", create_missing=True)
    house.customers.update_project("acme/web", suspended=True)
    assert [house.caller(s) is not None for s in (web, api, other)] == [False, True, True]
    house.customers.update("acme", suspended=True)
    assert [house.caller(s) is not None for s in (web, api, other)] == [False, False, True]
    house.customers.update("acme", suspended=False)
    assert [house.caller(s) is not None for s in (web, api, other)] == [False, True, True]


def test_a_key_created_below_a_suspended_customer_is_refused(house: House) -> None:
    house.create("first", project="acme/web", create_missing=True)
    house.customers.update("acme", suspended=True)
    assert house.caller(house.create("second", project="acme/web")) is None


def test_a_key_is_refused_from_the_millisecond_of_its_expiry(house: House) -> None:
    secret = house.create(expires_at=house.clock.now() + DAY)
    house.clock.ms += 86_400_000 - 1
    assert house.caller(secret) is not None
    house.clock.ms += 1
    assert house.caller(secret) is None


def test_changed_policies_and_multipliers_are_seen(house: House) -> None:
    secret = house.create(project="acme/web", create_missing=True)
    house.keys.update("ci-bot", policy=Policy(pin=True))
    house.customers.update("acme", multiplier=Decimal("1.5"))
    caller = house.caller(secret)
    assert caller is not None
    assert (caller.policy, caller.multiplier_ppm) == (Policy(pin=True), 1_500_000)


# --- rotation -----------------------------------------------------------------------------------------------------


def test_old_and_new_secret_both_work_while_the_new_one_is_pending(house: House) -> None:
    old = house.create()
    new = house.rotate()
    assert [c.generation for s in (old, new) if (c := house.caller(s))] == [1, 2]


def test_the_first_use_of_the_new_secret_activates_it_and_starts_the_grace_of_the_old(house: House) -> None:
    old = house.create()
    new = house.rotate(grace=DAY)
    house.clock.advance(days=5)
    house.use(new)
    used_at = house.clock.now()
    house.clock.advance(seconds=1)
    house.directory.flush()
    newest, previous = house.keys.get("ci-bot").generations
    assert (newest.state, newest.activated_at) == (GenerationState.ACTIVE, used_at)
    assert (previous.state, previous.valid_until) == (GenerationState.GRACE, used_at + DAY)
    assert house.caller(old) is not None
    house.clock.ms = to_ms(used_at + DAY)
    assert house.caller(old) is None
    assert house.caller(new) is not None


def test_using_the_old_secret_activates_nothing(house: House) -> None:
    old = house.create()
    house.rotate()
    house.use(old)
    house.directory.flush()
    assert house.keys.get("ci-bot").generations[0].state is GenerationState.PENDING


def test_a_use_that_was_noted_before_a_revocation_brings_nothing_back(house: House) -> None:
    house.create()
    new = house.rotate()
    house.use(new)
    house.keys.revoke("ci-bot")
    house.directory.flush()
    assert {g.state for g in house.keys.get("ci-bot").generations} == {GenerationState.REVOKED}
    assert house.caller(new) is None


def test_an_abandoned_secret_is_refused(house: House) -> None:
    old = house.create()
    new = house.rotate()
    house.keys.abandon("ci-bot", 2)
    assert house.caller(new) is None
    assert house.caller(old) is not None


# --- uses ---------------------------------------------------------------------------------------------------------


def test_the_last_use_is_written_with_client_and_address(house: House) -> None:
    secret = house.create()
    house.use(secret, client="curl/8")
    house.clock.advance(seconds=5)
    house.use(secret, client="OpenAI/Python 3.3.0\x1b[31m" + "x" * 500, address="10.0.0.8")
    assert house.keys.get("ci-bot").generations[0].last_used_at is None
    house.directory.flush()
    generation = house.keys.get("ci-bot").generations[0]
    assert (generation.last_used_at, generation.last_address) == (house.clock.now(), "10.0.0.8")
    assert generation.last_client is not None
    assert generation.last_client.startswith("OpenAI/Python 3.3.0?[31mxxx")
    assert len(generation.last_client) == 120


def test_a_secret_that_a_client_calls_itself_by_is_not_written(house: House) -> None:
    secret = house.create()
    house.use(secret, client=f"curl {secret}")
    house.directory.flush()
    generation = house.keys.get("ci-bot").generations[0]
    assert generation.last_client == "curl [redacted]"


def test_an_older_use_told_late_does_not_replace_a_newer_one(house: House) -> None:
    secret = house.create()
    caller = house.caller(secret)
    assert caller is not None
    now = house.clock.now_ms()
    house.directory.used(caller, now, "new", None)
    house.directory.flush()
    house.directory.used(caller, now - 1, "old", None)
    house.directory.flush()
    assert house.keys.get("ci-bot").generations[0].last_client == "new"


def test_uses_wait_while_the_database_is_away(house: House) -> None:
    class Away(Database):
        """A database whose next write fails."""

        def __init__(self, url: str) -> None:
            super().__init__(url)
            self.away = True

        def write(self):  # type: ignore[no-untyped-def]
            if self.away:
                raise Unavailable("database: gone")
            return super().write()

    away = Away(house.database.url)
    house.directory = Directory(away, FixedPepper().peppers)
    house.directory.load()
    secret = house.create()
    house.use(secret)
    with pytest.raises(Unavailable):
        house.directory.flush()
    assert house.caller(secret) is not None
    away.away = False
    house.directory.flush()
    assert house.keys.get("ci-bot").generations[0].last_used_at == house.clock.now()
    away.close()


def test_a_flush_with_nothing_to_write_does_not_touch_the_database(tmp_path: Path) -> None:
    empty = Database(f"sqlite:///{tmp_path / 'without-tables.db'}")
    Directory(empty, dict).flush()
    empty.close()


# --- refresh ------------------------------------------------------------------------------------------------------


def test_a_refresh_reads_only_what_changed(house: House) -> None:
    secrets = {name: house.create(name) for name in ("a", "b", "c")}
    before = {name: house.caller(secret) for name, secret in secrets.items()}
    house.keys.update("b", tags={"x": "y"})
    after = {name: house.caller(secret) for name, secret in secrets.items()}
    assert after["a"] is before["a"]
    assert after["c"] is before["c"]
    assert after["b"] is not before["b"]


def test_an_older_epoch_makes_the_directory_read_everything_anew(house: House) -> None:
    secret = house.create()
    assert house.caller(secret) is not None
    with house.database.write() as tx:
        tx.exec_driver_sql("DELETE FROM key_generations")
        tx.exec_driver_sql("DELETE FROM keys")
        tx.exec_driver_sql("UPDATE epochs SET keys = 0")
    assert house.caller(secret) is None
    assert len(house.directory) == 0


def test_a_token_that_stays_usable_is_admitted_at_every_line_of_a_refresh(house: House) -> None:
    secret = house.create().encode()
    house.follow()
    house.keys.rotate("ci-bot", DAY)
    answers: list[bool] = []

    def knock(frame: FrameType, event: str, _: object) -> Callable[..., object] | None:
        if "directory" not in frame.f_code.co_filename:
            return None
        answers.append(house.directory.authenticate(secret, house.clock.now_ms()) is not None)
        return knock

    sys.settrace(knock)
    try:
        house.follow()
    finally:
        sys.settrace(None)
    assert len(answers) > 10
    assert all(answers)
