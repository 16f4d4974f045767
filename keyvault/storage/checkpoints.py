"""Moves what SQLite's write-ahead log holds into the database file, beside whoever writes.

A commit that finds the log long does so itself and waits for the disk, ten to twenty milliseconds in which no request
is put on record. Done from a thread of its own all along, this leaves little for that commit. The log still begins anew
only after a commit that found all of it moved, so one has to wait now and then. Where the thread cannot do its work,
commits do it as they find it.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Final

from keyvault.storage.engine import Database, sqlite_module

EVERY_SECONDS: Final = 0.25
_PATIENCE_MS: Final = 1_000


class Checkpoints:
    """Moves from `start` to `stop`, once at least. Nothing for a database that has no such log."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._running = threading.Lock()  # to wait for it takes a call, for an event a dozen, four times a second
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)

    def start(self) -> None:
        if self._database.is_sqlite:
            self._running.acquire()
            self._thread.start()

    def stop(self) -> None:
        """Returns when the thread has ended."""
        if self._thread.is_alive():
            self._running.release()
            self._thread.join()

    def _run(self) -> None:
        failure = sqlite_module().Error
        with contextlib.suppress(failure), contextlib.closing(self._database.connect(_PATIENCE_MS)) as connection:
            while True:
                with contextlib.suppress(failure):
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()  # waits for nobody
                if self._running.acquire(timeout=EVERY_SECONDS):
                    return
