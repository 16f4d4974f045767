"""Rate limits on record, on both databases: what is set, what stays, and what running proxies learn."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyvault.clock import Clock
from keyvault.domain.limits import Limit, LimitChange
from keyvault.domain.scopes import Scope, ScopeKind, parse_scope
from keyvault.errors import Conflict, NotFound, Tampered, UsageError
from keyvault.keys.customers import Customers
from keyvault.metering.limits import Limits
from keyvault.storage import audit as audit_rows
from keyvault.storage import epochs
from keyvault.storage.engine import Database
from tests.proxy.harness import new_home

ACME = parse_scope("customer:acme")
WEB = parse_scope("project:acme/web")


@pytest.fixture
def limits(database: Database, clock: Clock) -> Limits:
    customers = Customers(database, clock)
    customers.create("Acme")
    customers.create_project("acme/web")
    return Limits(database, clock)


def money(database: Database) -> int:
    with database.read() as tx:
        return epochs.current(tx)[4]


def numbers(limit: Limit) -> tuple[int | None, int | None, int | None]:
    return limit.rpm, limit.tpm, limit.parallel


def test_what_is_not_given_stays_and_none_takes_a_number_away(limits: Limits) -> None:
    made = limits.set(ACME, LimitChange(rpm=60, tpm=10**12))
    assert (made.scope.kind, made.scope.name, made.model) == (ScopeKind.CUSTOMER, "Acme", "")
    limits.set(ACME, LimitChange(parallel=4))
    limits.set(ACME, LimitChange(rpm=None))
    assert numbers(limits.show(ACME)) == (None, 10**12, 4)
    assert numbers(limits.set(ACME, LimitChange(tpm=None, parallel=None))) == (None, None, None)
    assert limits.list() == []
    assert numbers(limits.set(ACME, LimitChange(rpm=None))) == (None, None, None)


def test_each_pattern_of_models_has_a_limit_of_its_own(limits: Limits) -> None:
    limits.set(ACME, LimitChange(rpm=60))
    limits.set(ACME, LimitChange(rpm=6), model="gpt-5*")
    limits.set(WEB, LimitChange(parallel=1), model="*")
    assert [(str(limit.scope), limit.model, limit.rpm) for limit in limits.list()] == [
        ("customer:Acme", "", 60),
        ("customer:Acme", "gpt-5*", 6),
        ("project:Acme/web", "", None),
    ]
    assert [limit.model for limit in limits.list(ACME)] == ["", "gpt-5*"]
    with pytest.raises(Conflict, match="customer:Acme has 2 limits"):
        limits.delete(ACME)
    assert limits.delete(ACME, model="gpt-5*").rpm == 6
    assert limits.show(ACME).rpm == 60
    assert limits.delete(ACME, model="*").rpm == 60
    with pytest.raises(NotFound, match="has no such limit"):
        limits.show(ACME)
    with pytest.raises(UsageError, match="not a pattern"):
        limits.set(ACME, LimitChange(rpm=1), model="a b")


@pytest.mark.parametrize("text", ["customer:acmee", "project:acme/wab", "key:nope"])
def test_a_scope_that_does_not_exist_is_not_found(limits: Limits, text: str) -> None:
    scope: Scope = parse_scope(text)
    with pytest.raises(NotFound):
        limits.set(scope, LimitChange(rpm=1))
    with pytest.raises(NotFound):
        limits.delete(scope)


def test_each_change_is_told_to_proxies_and_to_the_audit_log_and_no_other_is(
    limits: Limits, database: Database
) -> None:
    seen = [money(database)]
    for change in (LimitChange(rpm=60), LimitChange(rpm=60), LimitChange(rpm=61), LimitChange(rpm=None)):
        limits.set(ACME, change)
        seen.append(money(database))
    limits.set(ACME, LimitChange(tpm=5))
    limits.delete(ACME)
    assert [later - seen[0] for later in seen[1:]] == [1, 1, 2, 3]
    with database.read() as tx:
        actions = [row["action"] for row in audit_rows.newest(tx, 50) if row["action"].startswith("limits.")]
    assert actions == ["limits.delete", *["limits.set"] * 4]


def test_a_limit_that_was_edited_by_hand_cannot_be_changed_as_if_it_were_ours(tmp_path: Path) -> None:
    home = new_home(tmp_path)
    scope = parse_scope("customer:default")
    home.limits.set(scope, LimitChange(rpm=60))
    with home.database.write() as tx:
        tx.exec_driver_sql("UPDATE limits SET rpm = 1000000")
    with pytest.raises(Tampered, match="limit number 1 of customer number"):
        home.limits.set(scope, LimitChange(tpm=5))
    home.close()
