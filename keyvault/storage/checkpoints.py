"""Moves what SQLite's write-ahead log holds into the database file, beside whoever writes.

A commit that finds the log long does so itself and waits for the disk, ten to twenty milliseconds in which no request
is put on record. Done from a thread of its own all along, this leaves little for that commit. Commits wait for the disk
while the thread has it take what it moves, too, so it moves little at a time. The log still begins anew only after a
commit that found all of it moved, so one has to wait now and then. Where the thread cannot do its work, commits do it
as they find it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Final

from keyvault.storage.engine import Database, sqlite_module

ENTRIES: Final = 128
"""Written to the ledger, a few pages each, after which the log is moved."""
PAUSE_SECONDS: Final = 0.04
"""Between two moves at least: each has the disk take the log and the file."""
EVERY_SECONDS: Final = 1.0
"""When the log is moved where little or nothing is written to the ledger."""
_PATIENCE_MS: Final = 1_000


class Checkpoints:
    """Moves from `start` to `stop`, once at least. Nothing for a database that has no such log."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._unasked = threading.Lock()  # to wait for it takes a call, for an event a dozen
        """Held while nobody asks for a move."""
        self._written = 0
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)

    def start(self) -> None:
        if self._database.is_sqlite:
            self._unasked.acquire()
            self._thread.start()

    def wrote(self, entries: int) -> None:
        """So many entries were written. From one thread."""
        self._written += entries
        if self._written >= ENTRIES:
            self._written = 0
            self._ask()

    def stop(self) -> None:
        """Returns when the thread has ended."""
        if self._thread.is_alive():
            self._ended = True
            self._ask()
            self._thread.join()

    def _ask(self) -> None:
        with contextlib.suppress(RuntimeError):  # somebody has asked already
            self._unasked.release()

    def _run(self) -> None:
        failure = sqlite_module().Error
        with contextlib.suppress(failure), contextlib.closing(self._database.connect(_PATIENCE_MS)) as connection:
            while True:
                with contextlib.suppress(failure):
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()  # waits for nobody
                if self._ended:
                    return
                time.sleep(PAUSE_SECONDS)
                self._unasked.acquire(timeout=EVERY_SECONDS)
