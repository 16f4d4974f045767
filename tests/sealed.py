"""A gateway whose rows are sealed, on any database: services as a home wires them, with the vault open or locked."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

from keyvault.captures.captures import Captures
from keyvault.clock import Clock
from keyvault.domain.vault import SlotKind
from keyvault.journal import Journal
from keyvault.keys.customers import Customers
from keyvault.keys.lifecycle import Keys
from keyvault.keys.stopping import Stops
from keyvault.metering.prices import Prices
from keyvault.routing.routes import Routes
from keyvault.settings import Paths
from keyvault.storage.engine import Database
from keyvault.vault.guard import Guard
from keyvault.vault.manifest import SealKeys
from keyvault.vault.seals import Seals
from keyvault.vault.survey import Survey, survey
from keyvault.vault.upstreams import Upstreams
from keyvault.vault.vault import Vault
from tests.conftest import FrozenClock
from tests.postgresql import IN_ANY_ORDER, rows_as_they_are


class Sealed:
    """One process's view of a gateway. `again` gives another process's, on the same database and journal."""

    def __init__(self, database: Database, clock: Clock, root: Path, *, locked: bool = False) -> None:
        self.database = database
        self.clock = clock
        self.root = root
        paths = Paths(root / "config", root / "data", root / "state", one_roof=True)
        paths.make()
        self.journal = Journal(paths.journal_file)
        self.seals = Seals(database, lambda: self.vault, self.journal)
        key_place = replace(paths, config=root / "nothing-here") if locked else paths
        self.vault = Vault(database, clock, key_place, {}, check=self.seals.check)
        database.sealer = lambda: self.seals
        self.customers = Customers(database, clock)
        self.keys = Keys(database, self.vault, clock)
        self.stops = Stops(database, self.vault, clock)
        self.routes = Routes(database, clock)
        self.prices = Prices(database, clock)
        self.upstreams = Upstreams(database, self.vault, clock)
        self.captures = Captures(database, clock, self.vault, paths.captures)

    def again(self, *, locked: bool = False) -> Sealed:
        return Sealed(self.database, self.clock, self.root, locked=locked)

    def guard(self) -> Guard:
        return self.seals.guard()

    def survey(self) -> Survey:
        """What is wrong, as `doctor` finds it, by a process of its own."""
        beside = Sealed(self.database, self.clock, self.root)
        found = survey(self.database, SealKeys.of(beside.vault.trust().access), self.journal)
        self.database.sealer = lambda: self.seals
        return found

    def sql(self, statement: str, **values: Any) -> None:
        """Write as somebody who has the database and nothing else."""
        with self.database.engine.begin() as connection:
            connection.execute(sa.text(statement), values)

    def rows(self, query: str) -> list[dict[str, Any]]:
        with self.database.engine.connect() as connection:
            return [dict(row) for row in connection.execute(sa.text(query)).mappings()]

    def put_back(self, table: str, row: dict[str, Any]) -> None:
        """Write an old row over the one with its id, with its old version and seal."""
        identity = "number" if table == "revisions" else "id"
        columns = ", ".join(f'"{name}" = :{name}' for name in row if name != identity)
        self.sql(f"UPDATE {table} SET {columns} WHERE {identity} = :{identity}", **row)


def sealed_gateway(database: Database, clock: Clock, root: Path) -> Sealed:
    """A new gateway: its vault and `default/default`."""
    made = Sealed(database, clock, root)
    database.sealer = None
    Customers(database, clock).ensure_default()
    made.vault.initialise(SlotKind.FILE)
    database.sealer = lambda: made.seals
    made.seals.committed()
    return made


class Template:
    """A gateway as it was when it was made, for tests to begin from: making one takes longer than most of them."""

    def __init__(self, made: Sealed, clock: FrozenClock, directory: Path) -> None:
        """`directory`: where its files are kept."""
        made.database.close()
        self._files = directory / "gateway"
        shutil.copytree(made.root, self._files)
        self._clock = (clock.ms, clock.drawn)
        self._rows = None
        if not made.database.is_sqlite:
            with psycopg.connect(made.database.url) as connection:
                self._rows = rows_as_they_are(connection)

    def copied(self, database: Database, clock: FrozenClock, root: Path) -> Sealed:
        """The same gateway once more, on another database of its kind and below `root`."""
        database.close()
        shutil.copytree(self._files, root, dirs_exist_ok=True)
        clock.ms, clock.drawn = self._clock
        if self._rows is not None:
            with psycopg.connect(database.url) as connection:
                connection.execute(IN_ANY_ORDER)
                connection.execute(self._rows)
        copy = Sealed(database, clock, root)
        copy.vault.unlock()  # as it is where it was made
        return copy
