"""Tenants on both databases: changes that meet each other, secrets that cannot be delivered, adopted tokens."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from keyvault.domain.keys import Key, Policy, PolicyChange
from keyvault.errors import Conflict, UsageError
from keyvault.keys.customers import Customers
from keyvault.keys.defaults import Defaults
from keyvault.keys.directory import Directory
from keyvault.keys.lifecycle import Keys
from keyvault.keys.making import NewKey
from keyvault.secrets import Secret
from keyvault.storage.engine import Database
from keyvault.tenants import document
from keyvault.tenants.tenants import Tenants
from tests.conftest import FrozenClock
from tests.pepper import FixedPepper

FILE = """\
[customers.acme]
[projects."acme/web"]
[keys.one]
project = "acme/web"
[keys.two]
project = "acme/web"
"""
FOREIGN = Secret("sk-Fq7RtY2mZx9LbV4cKp1sWdGh6JnQ3eTu8aBi5oXyMrUvCzEl")
WANTED = document.read(FILE, "tenants.toml")


@pytest.fixture
def keys(database: Database, clock: FrozenClock) -> Keys:
    Customers(database, clock).ensure_default()
    return Keys(database, FixedPepper(), clock)


@pytest.fixture
def tenants(database: Database, clock: FrozenClock, keys: Keys) -> Tenants:
    return Tenants(database, FixedPepper(), clock, Defaults(Policy(), "live", None, timedelta()))


def names(keys: Keys) -> list[str]:
    return [key.name for key in keys.list()]


def test_each_new_secret_opens_the_gateway(
    tenants: Tenants, keys: Keys, database: Database, clock: FrozenClock
) -> None:
    delivered: dict[str, Secret] = {}

    def deliver(key: Key, secret: Secret) -> None:
        delivered[key.name] = secret

    tenants.apply(WANTED, deliver=deliver)
    directory = Directory(database, FixedPepper().peppers, clock=clock)
    directory.load()
    for name, secret in delivered.items():
        caller = directory.authenticate(secret.reveal().encode(), clock.now_ms())
        assert caller is not None
        assert caller.key_name == name
    assert tenants.apply(WANTED).steps == ()


def test_a_secret_that_cannot_be_delivered_undoes_everything(tenants: Tenants, keys: Keys) -> None:
    def deliver(key: Key, secret: Secret) -> None:
        if key.name == "two":
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        tenants.apply(WANTED, deliver=deliver)
    assert names(keys) == []
    assert tenants.plan(WANTED).steps[0].scope == "customer:acme"


def test_new_keys_without_a_place_for_their_secrets_are_refused(tenants: Tenants, keys: Keys) -> None:
    with pytest.raises(UsageError, match="2 new keys need a place"):
        tenants.apply(WANTED)
    assert names(keys) == []


def test_what_was_agreed_to_is_what_happens_or_nothing(tenants: Tenants, keys: Keys) -> None:
    keys.create("old")
    nothing = document.read("", "tenants.toml")
    agreed = tenants.plan(nothing, prune=True)
    keys.create("new-meanwhile")
    with pytest.raises(Conflict, match="changed meanwhile"):
        tenants.apply(nothing, prune=True, agreed=agreed)
    assert [key.state.value for key in keys.list()] == ["active", "active"]


def test_two_updates_of_one_key_at_once_both_count(keys: Keys) -> None:
    keys.create("bot")
    together = threading.Barrier(2)

    def change(wanted: PolicyChange) -> Callable[[], None]:
        def run() -> None:
            together.wait()
            keys.update("bot", policy=wanted)

        return run

    for round_ in range(5):
        changes = PolicyChange(models=(f"m{round_}",)), PolicyChange(addresses=(f"192.0.2.{round_}",))
        threads = [threading.Thread(target=change(wanted)) for wanted in changes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        policy = keys.get("bot").policy
        assert (policy.models, policy.addresses) == ((f"m{round_}",), (f"192.0.2.{round_}",))


def test_a_foreign_form_is_looked_up_only_while_somebody_has_one(
    keys: Keys, database: Database, clock: FrozenClock
) -> None:
    directory = Directory(database, FixedPepper().peppers, clock=clock)
    directory.load()
    assert directory.find(FOREIGN.reveal().encode()) is None
    keys.adopt(NewKey("mobile"), FOREIGN, force=False)
    directory.load()
    found = directory.authenticate(FOREIGN.reveal().encode(), clock.now_ms())
    assert found is not None
    assert (found.key_name, directory.find(b"sk-another-token-of-theirs-0123")) == ("mobile", None)
    keys.revoke("mobile")
    directory.load()
    assert directory.find(FOREIGN.reveal().encode()) is None


def test_a_token_is_adopted_once(keys: Keys) -> None:
    keys.adopt(NewKey("mobile"), FOREIGN, force=False)
    keys.revoke("mobile")
    with pytest.raises(Conflict, match="in use already, by key mobile"):
        keys.adopt(NewKey("other"), FOREIGN, force=False)


def test_an_adopted_key_shows_little_of_its_token_and_is_due(keys: Keys, clock: FrozenClock) -> None:
    key = keys.adopt(NewKey("mobile"), FOREIGN, force=False)
    short = keys.adopt(NewKey("short"), Secret("abcdefghij123456"), force=False)
    assert (key.generations[0].masked, short.generations[0].masked) == ("sk-…El", "ab…")
    assert key.generations[0].adopted
