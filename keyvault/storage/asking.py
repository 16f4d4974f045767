"""Prepared statements that stand alone, run on a connection of their own that stays open.

What a worker asks each second takes a few microseconds; to take a connection out of the pool, begin and put it back
takes twenty times as long. Each statement is a transaction by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from keyvault.storage.compiled import Prepared, Row

if TYPE_CHECKING:
    from keyvault.storage.engine import Database


class Asking:
    """Of one database; on a server it takes the usual way. Threads may share it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._connection: sa.Connection | None = None
        """Opened when it is first needed."""
        self._driver: Any = None
        """The driver's own, within it."""

    def first(self, statement: Prepared, values: Mapping[str, Any]) -> Row | None:
        """The first row that it finds."""
        if not self._database.is_sqlite:
            with self._database.read() as tx:
                return statement.first(tx, values)
        with self._lock:
            row: Row | None = self._run(statement, values).fetchone()
        return row

    def touch(self, statement: Prepared, values: Mapping[str, Any]) -> int:
        """How many rows it has changed; they are rows that nobody vouches for."""
        if not self._database.is_sqlite:
            with self._database.write() as tx:
                return statement.touch(tx, values)
        with self._lock:
            return int(self._run(statement, values).rowcount)

    def _run(self, statement: Prepared, values: Mapping[str, Any]) -> Any:
        with self._database.translated():
            if self._connection is None:
                self._connection = self._database.engine.connect()
                self._driver = self._connection.connection.driver_connection
                self._connection.detach()  # it is not put back
            return statement.run(self._driver, values)

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = self._driver = None
