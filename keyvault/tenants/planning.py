"""Compares what is wanted with what is, and finds the steps between the two.

Everything is read in one transaction. What cannot be (an ended key, another project, an unknown one) is an error that
says where it was asked for; nothing has changed then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from keyvault.domain.differences import differences
from keyvault.domain.documents import located
from keyvault.domain.keys import DEFAULT_PROJECT, PPM, Customer, Key, KeyState, Project, Unchanged
from keyvault.domain.names import fold, not_found, split_project
from keyvault.errors import Conflict, GatewayError
from keyvault.keys.defaults import Defaults
from keyvault.keys.making import NewKey, check_future
from keyvault.storage import customers as rows
from keyvault.storage import keys as key_rows
from keyvault.storage.engine import Transaction
from keyvault.tenants import described
from keyvault.tenants.changes import Changes
from keyvault.tenants.steps import Plan, Step
from keyvault.tenants.wanted import Wanted, WantedCustomer, WantedKey, WantedProject

T = TypeVar("T")
EVER_THERE = split_project(DEFAULT_PROJECT)[0]
"""The customer that exists from the beginning: not suspended for being left out."""


class Planner:
    """One comparison, within a transaction."""

    def __init__(self, tx: Transaction, changes: Changes, usual: Defaults, now: datetime) -> None:
        self._changes = changes
        self._usual = usual
        self._now = now
        self._customers = {fold(c.name): c for c in rows.list_customers(tx)}
        self._projects = {fold(p.path): p for p in rows.list_projects(tx)}
        self._keys = {fold(k.name): k for k in key_rows.list_keys(tx)}

    def plan(self, wanted: Wanted, *, prune: bool) -> Plan:
        """Raises `ConfigurationError`, `Conflict` or `NotFound` naming the place in the file."""
        steps = [
            *self._customer_steps(wanted),
            *self._project_steps(wanted),
            *(step for key in wanted.keys for step in self._key_step(key, wanted)),
            *(self._pruned(wanted) if prune else ()),
        ]
        return Plan(tuple(steps))

    def _customer_steps(self, wanted: Wanted) -> Iterator[Step]:
        declared = {fold(c.name): c for c in wanted.customers}
        for path in _projects_made(wanted):
            name = split_project(path)[0]
            declared.setdefault(fold(name), WantedCustomer(name))
        for name, one in declared.items():
            found = self._customers.get(name)
            if found is None:
                blank = Customer(0, one.name, self._now)
                made = _as_wanted(blank, one)
                change = differences(described.customer(blank), described.customer(made))
                yield Step("+", f"customer:{one.name}", change, self._changes.make_customer(made))
            elif change := differences(described.customer(found), described.customer(_as_wanted(found, one))):
                yield Step("~", f"customer:{found.name}", change, self._changes.change_customer(found, one))

    def _project_steps(self, wanted: Wanted) -> Iterator[Step]:
        declared = {fold(p.path): p for p in wanted.projects}
        for path in _projects_made(wanted):
            declared.setdefault(fold(path), WantedProject(path))
        customers = {fold(c.name) for c in wanted.customers} | self._customers.keys()
        for path, one in declared.items():
            customer, name = split_project(one.path)
            found = self._projects.get(path)
            if found is None:
                if fold(customer) not in customers and not wanted.makes_projects:
                    known = [c.name for c in self._customers.values()]
                    raise _at(one.where, not_found("customer", customer, known, otherwise=f"[customers.{customer}]"))
                made = _project_as_wanted(Project(0, 0, customer, name, self._now), one)
                change = differences({"suspended": False, "tags": {}}, described.project(made))
                yield Step("+", f"project:{one.path}", change, self._changes.make_project(made))
            elif change := differences(described.project(found), described.project(_project_as_wanted(found, one))):
                yield Step("~", f"project:{found.path}", change, self._changes.change_project(found, one))

    def _key_step(self, one: WantedKey, wanted: Wanted) -> Iterator[Step]:
        found = self._keys.get(fold(one.name))
        if found is None:
            yield self._new_key(one, wanted)
            return
        self._check_fixed(found, one)
        after = _key_as_wanted(found, one)
        if found.expires_at != after.expires_at:
            with located(one.where):
                check_future(after.expires_at, self._now)
        if change := differences(described.key(found), described.key(after)):
            yield Step("~", f"key:{found.name}", change, self._changes.change_key(found, one))

    def _new_key(self, one: WantedKey, wanted: Wanted) -> Step:
        path = _or(one.project, DEFAULT_PROJECT)
        declared = {fold(p.path) for p in wanted.projects} | self._projects.keys()
        if fold(path) not in declared and not wanted.makes_projects:
            known = [p.path for p in self._projects.values()]
            raise _at(one.where, not_found("project", path, known, otherwise=f'[projects."{path}"]'))
        expires = one.change.expires_at
        new = NewKey(
            name=one.name,
            env=_or(one.env, self._usual.env),
            policy=one.change.policy.applied(self._usual.policy),
            expires_at=self._usual.expires_at(self._now) if isinstance(expires, Unchanged) else expires,
            tags=_or(one.change.tags, {}),
        )
        with located(one.where):
            new = new.checked(self._now)
        customer, project = split_project(path)
        state = KeyState.SUSPENDED if one.suspended is True else KeyState.ACTIVE
        shown = Key(
            0, "", new.name, 0, customer, project, new.env, state, new.policy, dict(new.tags), self._now, new.expires_at
        )
        blank = described.key(Key(0, "", "", 0, "", "", "", KeyState.ACTIVE, NewKey("").policy, {}, self._now, None))
        adopted = self._changes.is_adopted(one.name)
        return Step(
            "+",
            f"key:{one.name}",
            differences(blank, described.key(shown)),
            self._changes.make_key(new, path, suspended=one.suspended is True),
            needs_secret=not adopted,
        )

    def _check_fixed(self, found: Key, one: WantedKey) -> None:
        """What no change can bring about."""
        if not described.is_live(found):
            hint = "give the key another name, or take it out of the file"
            raise _at(one.where, Conflict(f"key {found.name} is {found.state.value}", hint=hint))
        path = f"{found.customer}/{found.project}"
        if fold(_or(one.project, path)) != fold(path):
            raise _at(one.where, Conflict(f"key {found.name} belongs to {path} and stays there", hint=_ANOTHER))
        if _or(one.env, found.env) != found.env:
            raise _at(one.where, Conflict(f"key {found.name} is for {found.env} and stays so", hint=_ANOTHER))

    def _pruned(self, wanted: Wanted) -> Iterator[Step]:
        named = {fold(key.name) for key in wanted.keys}
        for found in self._keys.values():
            if fold(found.name) not in named and described.is_live(found):
                change = differences({"state": found.state_at(self._now).value}, {"state": "revoked"})
                yield Step("-", f"key:{found.name}", change, self._changes.revoke_key(found))
        paths = [p.path for p in wanted.projects] + [p for k in wanted.keys if (p := self._project_of(k))]
        kept = {fold(c.name) for c in wanted.customers} | {fold(split_project(path)[0]) for path in paths}
        for customer in self._customers.values():
            if fold(customer.name) not in {*kept, EVER_THERE} and not customer.suspended:
                change = differences({"suspended": False}, {"suspended": True})
                yield Step("-", f"customer:{customer.name}", change, self._changes.suspend_customer(customer))

    def _project_of(self, one: WantedKey) -> str | None:
        found = self._keys.get(fold(one.name))
        if not isinstance(one.project, Unchanged):
            return one.project
        return f"{found.customer}/{found.project}" if found else None


_ANOTHER = "create another key there"


def _projects_made(wanted: Wanted) -> Iterator[str]:
    """The projects that keys name, where those are made along."""
    if wanted.makes_projects:
        yield from dict.fromkeys(key.project for key in wanted.keys if not isinstance(key.project, Unchanged))


def _or(value: T | Unchanged, otherwise: T) -> T:
    return otherwise if isinstance(value, Unchanged) else value


def _as_wanted(found: Customer, one: WantedCustomer) -> Customer:
    return replace(
        found,
        multiplier_ppm=_or(one.multiplier_ppm, found.multiplier_ppm or PPM),
        suspended=_or(one.suspended, found.suspended),
        never_capture=_or(one.never_capture, found.never_capture),
        tags=dict(_or(one.tags, found.tags)),
    )


def _project_as_wanted(found: Project, one: WantedProject) -> Project:
    return replace(found, suspended=_or(one.suspended, found.suspended), tags=dict(_or(one.tags, found.tags)))


def _key_as_wanted(found: Key, one: WantedKey) -> Key:
    state = found.state
    if not isinstance(one.suspended, Unchanged):
        state = KeyState.SUSPENDED if one.suspended else KeyState.ACTIVE
    return replace(
        found,
        state=state,
        policy=one.change.policy.applied(found.policy),
        expires_at=_or(one.change.expires_at, found.expires_at),
        tags=dict(_or(one.change.tags, found.tags)),
    )


def _at(where: str, error: GatewayError) -> GatewayError:
    """The same error, saying where it was asked for."""
    return type(error)(f"{where}: {error.message}" if where else error.message, hint=error.hint)
