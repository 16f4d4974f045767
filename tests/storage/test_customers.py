"""Customers and projects, on both databases."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from pathlib import Path

import pytest

from keyvault import audit
from keyvault.clock import Clock
from keyvault.domain.budgets import Period
from keyvault.domain.limits import LimitChange
from keyvault.domain.scopes import Scope, ScopeKind
from keyvault.errors import Conflict, NotFound, UsageError
from keyvault.keys.customers import Customers
from keyvault.metering.budgets import Terms
from keyvault.storage import audit as audit_rows
from keyvault.storage import epochs
from keyvault.storage.engine import Database
from tests.proxy.harness import new_home


@pytest.fixture
def customers(database: Database, clock: Clock) -> Customers:
    return Customers(database, clock)


def test_a_customer_is_found_without_regard_to_case_and_spelled_as_created(customers: Customers, clock: Clock) -> None:
    created = customers.create("Acme", multiplier=Decimal("1.15"), tags={"tier": "gold"})
    assert customers.get("ACME") == created
    assert (created.name, created.multiplier_ppm, created.tags) == ("Acme", 1_150_000, {"tier": "gold"})
    assert (created.created_at, created.suspended) == (clock.now(), False)


def test_a_name_is_taken_in_every_case(customers: Customers) -> None:
    customers.create("Acme")
    with pytest.raises(Conflict, match="customer Acme exists already"):
        customers.create("acme")


def test_an_unknown_customer_is_not_found_and_the_nearest_is_hinted(customers: Customers) -> None:
    customers.create("Acme")
    with pytest.raises(NotFound) as caught:
        customers.get("akme")
    assert caught.value.hint == "did you mean Acme?"
    with pytest.raises(NotFound) as caught:
        customers.get("zzz")
    assert caught.value.hint == "gwctl customers list"


def test_what_is_not_given_stays(customers: Customers) -> None:
    customers.create("acme", multiplier=Decimal(2), tags={"a": "1"})
    changed = customers.update("ACME", suspended=True)
    assert (changed.suspended, changed.multiplier_ppm, changed.tags) == (True, 2_000_000, {"a": "1"})
    changed = customers.update("acme", tags={}, suspended=False)
    assert (changed.suspended, changed.tags) == (False, {})


@pytest.mark.parametrize("multiplier", ["-1", "1000.000001", "1.0000001", "NaN", "Infinity"])
def test_an_absurd_multiplier_is_refused(customers: Customers, multiplier: str) -> None:
    with pytest.raises(UsageError, match="not a multiplier"):
        customers.create("acme", multiplier=Decimal(multiplier))


@pytest.mark.parametrize("name", ["", "a b", "a/b", "-a", "a\n", "\x1b[31m", "=1+1", "a\u202eb", "a" * 65, "é"])
def test_a_name_that_could_harm_whoever_shows_it_is_refused(customers: Customers, name: str) -> None:
    with pytest.raises(UsageError):
        customers.create(name)


def test_tags_hold_printable_ascii(customers: Customers) -> None:
    with pytest.raises(UsageError, match="not a valid value of tag team"):
        customers.create("acme", tags={"team": "a\x1b[2J"})


def test_a_project_belongs_to_a_customer(customers: Customers) -> None:
    customers.create("Acme")
    customers.create("Bolt")
    project = customers.create_project("acme/Web")
    customers.create_project("bolt/web")
    assert project.path == "Acme/Web"
    assert customers.get_project("ACME/WEB") == project
    assert [p.path for p in customers.list_projects()] == ["Acme/Web", "Bolt/web"]
    assert [p.path for p in customers.list_projects("acme")] == ["Acme/Web"]


def test_a_project_needs_its_customer(customers: Customers) -> None:
    with pytest.raises(NotFound, match="no such customer"):
        customers.create_project("acme/web")
    with pytest.raises(UsageError, match="not a project"):
        customers.create_project("acme")


def test_a_project_is_unique_within_its_customer(customers: Customers) -> None:
    customers.create("acme")
    customers.create_project("acme/web")
    with pytest.raises(Conflict, match="acme/web exists already"):
        customers.create_project("ACME/Web")


def test_an_unknown_project_is_not_found_and_the_nearest_is_hinted(customers: Customers) -> None:
    customers.create("acme")
    customers.create_project("acme/web")
    with pytest.raises(NotFound) as caught:
        customers.get_project("acme/wep")
    assert caught.value.hint == "did you mean acme/web?"


def test_a_project_can_be_suspended(customers: Customers) -> None:
    customers.create("acme")
    customers.create_project("acme/web", tags={"a": "1"})
    assert customers.update_project("acme/web", suspended=True).suspended
    assert customers.get_project("acme/web").tags == {"a": "1"}


def test_the_default_project_is_made_once(customers: Customers) -> None:
    assert customers.ensure_default() == customers.ensure_default()
    assert [c.name for c in customers.list()] == ["default"]


def test_creations_and_changes_are_audited_and_move_the_epoch(customers: Customers, database: Database) -> None:
    customers.create("acme")
    customers.create_project("acme/web")
    with database.read() as tx:
        assert epochs.current(tx)[0] == 2, "a request may name them as its payer at once"
    customers.update("acme", suspended=True)
    customers.update_project("acme/web", suspended=True)
    customers.update("acme")
    with database.read() as tx:
        assert epochs.current(tx)[0] == 4
        assert audit.verify(tx) is None
        entries = [(row["action"], row["scope"]) for row in audit_rows.oldest_first(tx)]
    assert entries == [
        ("customers.create", "customer:acme"),
        ("projects.create", "project:acme/web"),
        ("customers.update", "customer:acme"),
        ("projects.update", "project:acme/web"),
    ]


def test_what_is_deleted_is_found_no_more_and_its_name_is_free(customers: Customers) -> None:
    customers.create("acme")
    first = customers.create_project("acme/web")
    assert customers.delete_project("acme/WEB").id == first.id
    assert customers.list_projects("acme") == []
    with pytest.raises(NotFound):
        customers.get_project("acme/web")
    assert customers.create_project("acme/web").id != first.id
    customers.delete("acme")
    assert (customers.list(), customers.list_projects()) == ([], [])
    assert customers.create("acme").name == "acme"


def test_the_project_for_keys_without_one_cannot_be_deleted(customers: Customers) -> None:
    customers.ensure_default()
    with pytest.raises(Conflict, match="keys belong"):
        customers.delete_project("default/default")
    with pytest.raises(Conflict, match="keys belong"):
        customers.delete("default")
    assert customers.get_project("default/default").path == "default/default"


def test_a_deleted_key_is_not_restored_into_a_project_that_is_gone(tmp_path: Path) -> None:
    with contextlib.closing(new_home(tmp_path)) as home:
        home.keys.create("bot", project="acme/web", create_missing=True)
        home.stops.delete("bot")
        home.customers.delete_project("acme/web")
        with pytest.raises(Conflict, match="the project of key bot was deleted"):
            home.stops.restore("bot")


def test_nothing_is_deleted_that_has_a_key_or_money(tmp_path: Path) -> None:
    with contextlib.closing(new_home(tmp_path)) as home:
        home.keys.create("bot", project="acme/web", create_missing=True)
        project = Scope(ScopeKind.PROJECT, "acme/web")
        with pytest.raises(Conflict, match="1 key, such as bot"):
            home.customers.delete("acme")
        home.stops.delete("bot", purge=True)
        home.balances.top_up(project, 5, "gift")
        home.limits.set(project, LimitChange(rpm=1))
        with pytest.raises(Conflict, match=r"has 0\.000000000005 USD left"):
            home.customers.delete_project("acme/web")
        home.balances.adjust(project, -5, "end")
        home.customers.delete("acme")
        assert (home.customers.list_projects("default"), home.balances.list(), home.limits.list()) == (
            [home.customers.get_project("default/default")],
            [],
            [],
        )


def test_a_purged_key_takes_its_budgets_and_limits_along(tmp_path: Path) -> None:
    with contextlib.closing(new_home(tmp_path)) as home:
        rules = [home.limits.of_key(LimitChange(rpm=1)), home.budgets.of_new_key(Terms(10**12, Period.DAY))]
        home.keys.create("bot", rules=rules)
        assert (len(home.limits.list()), len(home.budgets.list())) == (1, 1)
        home.stops.delete("bot", purge=True)
        assert (home.limits.list(), home.budgets.list()) == ([], [])
