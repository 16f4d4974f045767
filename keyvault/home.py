"""The composition root: opens a home and hands out its services, each made when first asked for.

A home is the configuration, data and state of one gateway. Front ends and tests get everything from here; nothing
below knows where files lie or what the environment says.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from keyvault.clock import Clock
from keyvault.errors import NotFound
from keyvault.settings import Paths, Settings

if TYPE_CHECKING:
    from keyvault.keys.customers import Customers
    from keyvault.keys.lifecycle import Keys
    from keyvault.metering.prices import Prices
    from keyvault.metering.reports import Reports
    from keyvault.routing.routes import Routes
    from keyvault.storage.engine import Database
    from keyvault.vault.upstreams import Upstreams
    from keyvault.vault.vault import Vault
    from keyvault.workers import Workers


class Home:
    """One gateway's configuration, data and services. Close it when done."""

    def __init__(self, environ: Mapping[str, str] = os.environ, clock: Clock | None = None) -> None:
        self.environ = environ
        self.clock = clock or Clock()

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

    @cached_property
    def database(self) -> Database:
        """The migrated database. Raises `NotFound` where nothing was set up, `FormatTooNew` for a newer schema."""
        from keyvault.storage import migrations
        from keyvault.storage.engine import Database, sqlite_path

        path = sqlite_path(self.settings.database_url)
        if not self.exists or (path is not None and not path.exists()):
            raise NotFound(f"no gateway is set up in {self.paths.config.parent}", hint="gwctl init")
        database = Database(self.settings.database_url, durability=self.settings.durability)
        migrations.ensure(database)
        return database

    @cached_property
    def vault(self) -> Vault:
        from keyvault.vault.vault import Vault

        return Vault(self.database, self.clock, self.paths, self.environ)

    @cached_property
    def upstreams(self) -> Upstreams:
        from keyvault.vault.upstreams import Upstreams

        return Upstreams(self.database, self.vault, self.clock)

    @cached_property
    def customers(self) -> Customers:
        from keyvault.keys.customers import Customers

        return Customers(self.database, self.clock)

    @cached_property
    def keys(self) -> Keys:
        from keyvault.keys.lifecycle import Keys

        return Keys(self.database, self.vault, self.clock)

    @cached_property
    def routes(self) -> Routes:
        from keyvault.routing.routes import Routes

        return Routes(self.database, self.clock)

    @cached_property
    def prices(self) -> Prices:
        from keyvault.metering.prices import Prices

        return Prices(self.database, self.clock)

    @cached_property
    def reports(self) -> Reports:
        from keyvault.metering.reports import Reports

        return Reports(self.database, self.clock)

    @cached_property
    def workers(self) -> Workers:
        from keyvault.workers import Workers

        return Workers(self.database, self.clock)

    def close(self) -> None:
        if "database" in self.__dict__:
            self.database.close()
