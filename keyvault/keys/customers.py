"""Customers and their projects: who pays, and what for.

Every change is one transaction with its audit entry; suspending either makes running proxies refuse all keys below
it at their next request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal

from keyvault import audit
from keyvault.clock import Clock
from keyvault.domain.keys import DEFAULT_PROJECT, PPM, Customer, Project, multiplier_ppm
from keyvault.domain.names import check_name, check_tags, counted, not_found, split_project
from keyvault.domain.scopes import ScopeKind, ScopeRef
from keyvault.errors import Conflict
from keyvault.keys.deleting import drop_rules
from keyvault.keys.known import existing_project
from keyvault.money import CURRENCY, format_usd
from keyvault.storage import balances, captures, epochs
from keyvault.storage import customers as rows
from keyvault.storage import keys as key_rows
from keyvault.storage.engine import Database, Transaction

NO_TAGS: Mapping[str, str] = {}


class Customers:
    """The service behind `gwctl customers` and `gwctl projects`. Projects are named by path, such as `acme/web`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def create(
        self,
        name: str,
        *,
        multiplier: Decimal = Decimal(1),
        tags: Mapping[str, str] = NO_TAGS,
        never_capture: bool = False,
    ) -> Customer:
        """Raises `Conflict` for a name in use, without regard to case."""
        check_name("customer", name)
        ppm, tags = multiplier_ppm(multiplier), check_tags(tags)
        with self._database.change() as tx:
            if existing := rows.find_customer(tx, name):
                raise Conflict(f"customer {existing.name} exists already", hint=f"gwctl customers show {existing.name}")
            customer = make_customer(tx, self._clock, name, ppm, tags)
            change_customer(tx, self._clock, customer, never_capture=never_capture)
            return existing_customer(tx, name)

    def list(self) -> Sequence[Customer]:
        """All customers by name."""
        with self._database.read() as tx:
            return rows.list_customers(tx)

    def get(self, name: str) -> Customer:
        """Raises `NotFound`, with the nearest name as a hint."""
        with self._database.read() as tx:
            return existing_customer(tx, name)

    def update(
        self,
        name: str,
        *,
        multiplier: Decimal | None = None,
        tags: Mapping[str, str] | None = None,
        suspended: bool | None = None,
        never_capture: bool | None = None,
    ) -> Customer:
        """Set what is given; `tags` replace all tags. Running proxies follow at the next request of each key.

        `never_capture`: from now on; what was captured of it before stays.
        """
        ppm = None if multiplier is None else multiplier_ppm(multiplier)
        tags = None if tags is None else check_tags(tags)
        with self._changing(denies=suspended is True and ppm is None and never_capture is None) as tx:
            customer = existing_customer(tx, name)
            change_customer(
                tx,
                self._clock,
                customer,
                multiplier_ppm=ppm,
                tags=tags,
                suspended=suspended,
                never_capture=never_capture,
            )
            return existing_customer(tx, name)

    def create_project(self, path: str, *, tags: Mapping[str, str] = NO_TAGS) -> Project:
        """Create `acme/web`; the customer must exist. Raises `NotFound` or `Conflict`."""
        customer_name, name = split_project(path)
        tags = check_tags(tags)
        with self._database.change() as tx:
            customer = existing_customer(tx, customer_name)
            if existing := rows.find_project(tx, customer_name, name):
                raise Conflict(f"project {existing.path} exists already", hint=f"gwctl projects show {existing.path}")
            return make_project(tx, self._clock, customer, name, tags)

    def list_projects(self, customer: str | None = None) -> Sequence[Project]:
        """All projects, or one customer's, by customer and name."""
        with self._database.read() as tx:
            return rows.list_projects(tx, None if customer is None else existing_customer(tx, customer).id)

    def get_project(self, path: str) -> Project:
        """Raises `NotFound`, with the nearest path as a hint."""
        with self._database.read() as tx:
            return existing_project(tx, path)

    def update_project(
        self, path: str, *, tags: Mapping[str, str] | None = None, suspended: bool | None = None
    ) -> Project:
        """Set what is given; `tags` replace all tags. Running proxies follow at the next request of each key."""
        tags = None if tags is None else check_tags(tags)
        with self._changing(denies=suspended is True) as tx:
            project = existing_project(tx, path)
            change_project(tx, self._clock, project, tags=tags, suspended=suspended)
            return existing_project(tx, path)

    def delete_project(self, path: str) -> Project:
        """Hide a project for good; what it used stays in every report, under its name. Raises `NotFound`, and
        `Conflict` while it has keys or money, and for the default one."""
        with self._database.change() as tx:
            project = existing_project(tx, path)
            delete_project(tx, self._clock, project)
            return project

    def delete(self, name: str) -> Customer:
        """Hide a customer and its projects for good. Raises `NotFound`, and `Conflict` while there are keys or money
        below it, and for the default one."""
        with self._database.change() as tx:
            customer = existing_customer(tx, name)
            for project in rows.list_projects(tx, customer.id):
                delete_project(tx, self._clock, project)
            _refuse_money(tx, "customer", customer.id, customer.name)
            rows.delete_customer(tx, customer.id)
            epochs.bump(tx, "money")
            epochs.bump(tx, "keys")
            audit.record(tx, self._clock, "customers.delete", f"customer:{customer.name}")
            return customer

    def ensure_default(self) -> Project:
        """The project `default/default`, where keys belong that name no other; created when absent."""
        with self._database.change() as tx:
            return project_made(tx, self._clock, DEFAULT_PROJECT)

    def _changing(self, *, denies: bool) -> AbstractContextManager[Transaction]:
        """What only takes access away works while the vault is locked."""
        return self._database.write() if denies else self._database.change()


def project_made(tx: Transaction, clock: Clock, path: str) -> Project:
    """The project of that path, created together with its customer where they do not exist."""
    customer_name, name = split_project(path)
    if project := rows.find_project(tx, customer_name, name):
        return project
    customer = rows.find_customer(tx, customer_name) or make_customer(tx, clock, customer_name, PPM, NO_TAGS)
    return make_project(tx, clock, customer, name, NO_TAGS)


def existing_customer(tx: Transaction, name: str) -> Customer:
    customer = rows.find_customer(tx, name)
    if customer is None:
        raise not_found("customer", name, [c.name for c in rows.list_customers(tx)], otherwise="gwctl customers list")
    return customer


def change_customer(
    tx: Transaction,
    clock: Clock,
    customer: Customer,
    *,
    multiplier_ppm: int | None = None,
    tags: Mapping[str, str] | None = None,
    suspended: bool | None = None,
    never_capture: bool | None = None,
) -> None:
    """Set what is given, checked before."""
    if never_capture is not None and never_capture != customer.never_capture:
        _mark(tx, clock, customer, never=never_capture)
    if changes := _given(multiplier_ppm=multiplier_ppm, tags=tags, suspended=suspended):
        rows.update_customer(tx, customer.id, multiplier_ppm=multiplier_ppm, tags=tags, suspended=suspended)
        rows.stamp_keys_of_customer(tx, customer.id, epochs.bump(tx, "keys"))
        audit.record(tx, clock, "customers.update", f"customer:{customer.name}", **changes)


def _mark(tx: Transaction, clock: Clock, customer: Customer, *, never: bool) -> None:
    """Say that nothing of a customer is ever captured, or that it may be again."""
    if never:
        captures.mark(tx, customer.id, clock.now_ms())
    else:
        captures.unmark(tx, customer.id)
    epochs.bump(tx, "routes")
    action = "customers.never_capture" if never else "customers.may_capture"
    audit.record(tx, clock, action, f"customer:{customer.name}")


def change_project(
    tx: Transaction,
    clock: Clock,
    project: Project,
    *,
    tags: Mapping[str, str] | None = None,
    suspended: bool | None = None,
) -> None:
    """Set what is given, checked before."""
    if changes := _given(tags=tags, suspended=suspended):
        rows.update_project(tx, project.id, tags=tags, suspended=suspended)
        rows.stamp_keys_of_project(tx, project.id, epochs.bump(tx, "keys"))
        audit.record(tx, clock, "projects.update", f"project:{project.path}", **changes)


def delete_project(tx: Transaction, clock: Clock, project: Project) -> None:
    """Hide a project for good, with its budgets and limits. Raises `Conflict`."""
    if project.path == DEFAULT_PROJECT:
        raise Conflict(f"{DEFAULT_PROJECT} is where keys belong that name no project", hint="it cannot be deleted")
    if keys := key_rows.list_keys(tx, project_id=project.id):
        raise Conflict(
            f"project {project.path} has {counted(len(keys), 'key')}, such as {keys[0].name}",
            hint=f"gwctl keys delete {keys[0].name}",
        )
    _refuse_money(tx, "project", project.id, project.path)
    rows.delete_project(tx, project.id)
    epochs.bump(tx, "money")
    epochs.bump(tx, "keys")
    audit.record(tx, clock, "projects.delete", f"project:{project.path}")


def _refuse_money(tx: Transaction, kind: str, row_id: int, name: str) -> None:
    """Raises `Conflict` while something is left of a balance; takes budgets and limits away."""
    ref = ScopeRef(ScopeKind(kind), row_id, name)
    for balance in balances.every(tx):
        if balance.scope == ref and balance.available_pico:
            amount = format_usd(balance.available_pico)
            hint = f"gwctl balances adjust {kind}:{name} -- -{amount} --env {balance.env} --reason TEXT"
            raise Conflict(f"{kind} {name} has {amount} {CURRENCY} left on its balance", hint=hint)
    drop_rules(tx, ref)


def make_customer(tx: Transaction, clock: Clock, name: str, ppm: int, tags: Mapping[str, str]) -> Customer:
    rows.insert_customer(tx, name, multiplier_ppm=ppm, tags=tags, created_ms=clock.now_ms())
    epochs.bump(tx, "keys")
    audit.record(tx, clock, "customers.create", f"customer:{name}", multiplier_ppm=ppm)
    return existing_customer(tx, name)


def make_project(tx: Transaction, clock: Clock, customer: Customer, name: str, tags: Mapping[str, str]) -> Project:
    rows.insert_project(tx, customer.id, name, tags=tags, created_ms=clock.now_ms())
    epochs.bump(tx, "keys")
    path = f"{customer.name}/{name}"
    audit.record(tx, clock, "projects.create", f"project:{path}")
    return existing_project(tx, path)


def _given(**changes: object) -> dict[str, object]:
    return {name: value for name, value in changes.items() if value is not None}
