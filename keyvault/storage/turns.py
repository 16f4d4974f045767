"""Waits for the turn to write to SQLite, where one writes at a time, by asking often.

SQLite's own wait asks only ten times a second in the end, and among several writers finds the lock taken for many
seconds on end; who asks every few milliseconds comes to it between two others.
"""

from __future__ import annotations

import time
from typing import Any


def begin_immediate(connection: Any, patience_ms: int, every_ms: int) -> None:
    """Begin a transaction that may write, on a driver's connection that does not wait for locks by itself."""
    until = time.monotonic() + patience_ms / 1000
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
            return
        except connection.OperationalError as error:
            if not is_locked(error) or time.monotonic() >= until:
                raise
        time.sleep(every_ms / 1000)


def is_locked(error: Exception) -> bool:
    """Whether it was raised because somebody else writes."""
    return "database is locked" in str(error)
