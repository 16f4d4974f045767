"""The composition root: opens a home and hands out its services, each made when first asked for.

A home is the configuration, data and state of one gateway. Front ends and tests get everything from here; nothing
below knows where files lie or what the environment says.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from keyvault.clock import Clock
from keyvault.errors import Conflict, NotFound
from keyvault.files import prepared
from keyvault.founding import removed_on_failure
from keyvault.settings import Paths, Settings

if TYPE_CHECKING:
    from keyvault.alerts import Alerts
    from keyvault.captures.captures import Captures
    from keyvault.domain.vault import SlotKind
    from keyvault.keys.customers import Customers
    from keyvault.keys.known import KnownKeys
    from keyvault.keys.lifecycle import Keys
    from keyvault.keys.objects import Objects
    from keyvault.keys.rotating import Rotations
    from keyvault.keys.stopping import Stops
    from keyvault.keys.temporary import Temporary
    from keyvault.metering.balances import Balances
    from keyvault.metering.budgets import Budgets
    from keyvault.metering.limits import Limits
    from keyvault.metering.prices import Prices
    from keyvault.metering.reconciling import Reconciler
    from keyvault.metering.remembered import Remembered
    from keyvault.metering.reports import Reports
    from keyvault.metering.repricing import Repricings
    from keyvault.metering.spending import Spending
    from keyvault.metering.statements import Statements
    from keyvault.routing.drills import Drills
    from keyvault.routing.rollouts import Rollouts
    from keyvault.routing.routes import Routes
    from keyvault.secrets import Secret
    from keyvault.storage.engine import Database
    from keyvault.tenants.tenants import Tenants
    from keyvault.vault.lifecycle import Credentials
    from keyvault.vault.peppers import Peppers
    from keyvault.vault.results import InitResult
    from keyvault.vault.rewrap import DataKeys
    from keyvault.vault.seals import Seals
    from keyvault.vault.slot_changes import Slots
    from keyvault.vault.trials import Trials
    from keyvault.vault.unlock import Prompt
    from keyvault.vault.upstreams import Upstreams
    from keyvault.vault.vault import Vault
    from keyvault.workers import Workers


class Home:
    """One gateway's configuration, data and services. Close it when done."""

    def __init__(
        self,
        environ: Mapping[str, str] = os.environ,
        clock: Clock | None = None,
        *,
        prompt: Prompt | None = None,
        command: str = "",
        unlocked_at: Paths | None = None,
        busy_timeout_ms: int | None = None,
    ) -> None:
        """`prompt` asks a person for what unlocks the vault; None where nobody can be asked. `command` is what is being
        done, such as `gwctl keys rotate`, for the audit log. `unlocked_at`: where its key file is, if not here.
        `busy_timeout_ms`: how long to wait for others on SQLite, if not as long as everybody."""
        self.environ = environ
        self.clock = clock or Clock()
        self._prompt = prompt
        self._command = command
        self._unlocked_at = unlocked_at
        self._busy_timeout_ms = busy_timeout_ms
        self._database: Database | None = None

    @cached_property
    def paths(self) -> Paths:
        return Paths.find(self.environ)

    @cached_property
    def settings(self) -> Settings:
        return Settings.load(self.paths, self.environ)

    @property
    def exists(self) -> bool:
        """Whether `gwctl init` has run here."""
        return self.paths.config_file.exists()

    @property
    def database(self) -> Database:
        """The migrated database. Raises `NotFound` where nothing was set up, `FormatTooNew` for a newer schema."""
        if self._database is None:
            if not self.exists:
                raise NotFound(f"no gateway is set up in {self.paths.config.parent}", hint="gwctl init")
            path = self.database_file()
            if path is not None and not path.exists():
                raise self._database_missing(path, NotFound)
            self._database = self._open_database()
            self._database.sealer = lambda: self.seals
        return self._database

    def initialise(self, unlock: SlotKind, *, passphrase: Secret | None = None, recovery: bool = False) -> InitResult:
        """Set a gateway up: database, `default/default`, prices, vault, and last `config.toml`, which makes it exist.

        Raises `Conflict` where something is set up already; any other failure leaves no files behind: the configuration
        is written before the vault is made, and only put in its place afterwards.
        """
        self.refuse_existing()
        self.paths.make()
        path = self.database_file()
        if path is not None and path.exists():
            raise Conflict(f"a database is there already: {path}", hint=f"mv {path} {path}.aside")
        with removed_on_failure(path), prepared(self.paths.config_file, self._first_configuration().encode()):
            self._database = self._open_database()
            self.customers.ensure_default()
            self.prices.fill_from_catalogue()
            made = self.vault.initialise(unlock, passphrase=passphrase, recovery=recovery)
            self._database.sealer = lambda: self.seals
            self.seals.journal.begin()
            self.seals.committed()
            return made

    def elsewhere(self, root: Path) -> Home:
        """A home below `root` that unlocks as this one does: to look into a backup without touching what is here."""
        environ = {**self.environ, "GWCTL_HOME": str(root), "GWCTL_DATABASE_URL": ""}
        return Home(environ, self.clock, prompt=self._prompt, unlocked_at=self.paths)

    def unmigrated(self) -> Database:
        """The database whatever its schema, for whoever is about to migrate it. The caller closes it."""
        path = self.database_file()
        if path is not None and not path.exists():
            raise self._database_missing(path, NotFound)
        return self._unopened_database()

    def refuse_existing(self) -> None:
        """Raises `Conflict` where a gateway is set up already, even if its database is gone."""
        if not self.exists:
            return
        path = self.database_file()
        if path is not None and not path.exists():
            raise self._database_missing(path, Conflict)
        raise Conflict(f"a gateway is set up already: {self.paths.config_file}", hint="gwctl vault status")

    def _database_missing(self, path: Path, kind: type[NotFound | Conflict]) -> NotFound | Conflict:
        """The same words for everyone: the configuration is there, the database is not."""
        aside = f"to begin anew: mv {self.paths.config} {self.paths.config}.aside"
        return kind(f"the database is missing: {path}", hint=f"restore it from a backup; {aside}")

    def database_file(self) -> Path | None:
        """Where a SQLite database is; None for one on a server."""
        from keyvault.storage.engine import sqlite_path

        return sqlite_path(self.settings.database_url)

    def _open_database(self) -> Database:
        from keyvault.storage import migrations

        database = self._unopened_database()
        try:
            migrations.ensure(database)
        except BaseException:
            database.close()
            raise
        database.command = self._command
        return database

    def _unopened_database(self) -> Database:
        from keyvault.storage.engine import BUSY_TIMEOUT_MS, Database

        settings, patience = self.settings, self._busy_timeout_ms
        busy_timeout_ms = BUSY_TIMEOUT_MS if patience is None else patience
        return Database(settings.database_url, durability=settings.durability, busy_timeout_ms=busy_timeout_ms)

    def _first_configuration(self) -> str:
        """What `config.toml` says at first: only what differs from the defaults."""
        head = "# Settings of this gateway. Every name, its default and what it means: gwctl help settings\n"
        if self.settings.database_url == f"sqlite:///{self.paths.database_file}":
            return head
        return f"{head}\n[database]\nurl = {json.dumps(self.settings.database_url)}\n"

    @cached_property
    def vault(self) -> Vault:
        from keyvault.vault.vault import Vault

        paths = self._unlocked_at or self.paths
        return Vault(self.database, self.clock, paths, self.environ, prompt=self._prompt, check=self.seals.check)

    @cached_property
    def seals(self) -> Seals:
        from keyvault.journal import Journal
        from keyvault.vault.seals import Seals

        return Seals(self.database, lambda: self.vault, Journal(self.paths.journal_file))

    @cached_property
    def slots(self) -> Slots:
        from keyvault.vault.os_keyring import OsKeyring
        from keyvault.vault.slot_changes import Slots

        return Slots(self.database, self.clock, self.paths, self.vault, OsKeyring(self.environ))

    @cached_property
    def data_keys(self) -> DataKeys:
        from keyvault.keys.locks import Locks
        from keyvault.vault.rewrap import DataKeys

        lock = Locks(self.database, self.paths.state / "locks").data_keys
        return DataKeys(self.database, self.clock, self.vault, lock)

    @cached_property
    def peppers(self) -> Peppers:
        from keyvault.vault.peppers import Peppers

        return Peppers(self.database, self.clock, self.vault)

    @cached_property
    def upstreams(self) -> Upstreams:
        from keyvault.vault.upstreams import Upstreams

        return Upstreams(self.database, self.vault, self.clock)

    @cached_property
    def credentials(self) -> Credentials:
        from keyvault.vault.lifecycle import Credentials

        return Credentials(self.database, self.vault, self.clock)

    @cached_property
    def trials(self) -> Trials:
        from keyvault.vault.trials import Trials

        return Trials(self.upstreams, self.credentials, self.environ)

    @cached_property
    def customers(self) -> Customers:
        from keyvault.keys.customers import Customers

        return Customers(self.database, self.clock)

    @cached_property
    def keys(self) -> Keys:
        from keyvault.keys.lifecycle import Keys

        return Keys(self.database, self.vault, self.clock)

    @cached_property
    def known_keys(self) -> KnownKeys:
        """The keys, for whoever only looks at them."""
        from keyvault.keys.known import KnownKeys

        return KnownKeys(self.database)

    @cached_property
    def rotations(self) -> Rotations:
        from keyvault.keys.locks import Locks
        from keyvault.keys.rotating import Rotations

        locks = Locks(self.database, self.paths.state / "rotations")
        return Rotations(self.database, self.keys, self.vault, self.clock, self.alerts, locks)

    @cached_property
    def stops(self) -> Stops:
        from keyvault.keys.stopping import Stops

        return Stops(self.database, self.vault, self.clock)

    @cached_property
    def tenants(self) -> Tenants:
        from keyvault.keys.defaults import defaults
        from keyvault.tenants.tenants import Tenants

        return Tenants(self.database, self.vault, self.clock, defaults(self.settings))

    @cached_property
    def limits(self) -> Limits:
        from keyvault.metering.limits import Limits

        return Limits(self.database, self.clock)

    @cached_property
    def objects(self) -> Objects:
        from keyvault.keys.objects import Objects

        return Objects(self.database, self.clock)

    @cached_property
    def routes(self) -> Routes:
        from keyvault.routing.routes import Routes

        return Routes(self.database, self.clock)

    @cached_property
    def captures(self) -> Captures:
        from keyvault.captures.captures import Captures

        return Captures(self.database, self.clock, self.vault, self.paths.captures)

    @cached_property
    def temporary(self) -> Temporary:
        from keyvault.keys.temporary import Temporary

        return Temporary(self.database, self.clock)

    @cached_property
    def drills(self) -> Drills:
        from keyvault.routing.drills import Drills

        return Drills(self.database, self.clock)

    @cached_property
    def rollouts(self) -> Rollouts:
        from keyvault.routing.rollouts import Rollouts

        return Rollouts(self.database, self.clock, self.routes)

    @cached_property
    def prices(self) -> Prices:
        from keyvault.metering.prices import Prices

        return Prices(self.database, self.clock)

    @cached_property
    def budgets(self) -> Budgets:
        from keyvault.metering.budgets import Budgets

        return Budgets(self.database, self.clock)

    @cached_property
    def balances(self) -> Balances:
        from keyvault.metering.balances import Balances

        return Balances(self.database, self.clock, lambda: self.spending, self.remembered)

    @cached_property
    def remembered(self) -> Remembered:
        from keyvault.metering.remembered import Remembered

        return Remembered(self.paths.spending_file)

    @cached_property
    def spending(self) -> Spending:
        """Raises `Locked`."""
        from keyvault.metering.spending import Spending

        return Spending(self.seals.spending_key())

    @cached_property
    def reports(self) -> Reports:
        from keyvault.metering.reports import Reports

        return Reports(self.database, self.clock)

    @cached_property
    def reconciler(self) -> Reconciler:
        from keyvault.metering.reconciling import Reconciler

        return Reconciler(self.reports, self.database, self.clock)

    @cached_property
    def repricings(self) -> Repricings:
        from keyvault.metering.repricing import Repricings

        return Repricings(self.database, self.clock)

    @cached_property
    def statements(self) -> Statements:
        from keyvault.metering.statements import Statements

        return Statements(self.database, self.clock, lambda: self.seals.keys)

    @cached_property
    def alerts(self) -> Alerts:
        from keyvault.alerts import Alerts

        return Alerts(self.database, self.clock)

    @cached_property
    def workers(self) -> Workers:
        from keyvault.workers import Workers

        return Workers(self.database, self.clock)

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
