"""Closes what processes that died left open.

An attempt that was on its way is settled as lost: its cost is unknown with its bound kept, nothing is charged, and its
request has ended. An attempt that is settled but keeps its place among the open ones was to be followed by another,
which never opened: it turns out to have been the request's last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from keyvault.domain.ledger import OpenAttempt, Outcome
from keyvault.metering.entries import Sums, lost, settled_row
from keyvault.metering.spending import Spending
from keyvault.storage.ledger import LedgerStore, Transaction

DEAD_AFTER_MS: Final = 30_000
"""A worker that shares the database and has not beaten for so long is taken as dead."""
_AT_ONCE: Final = 200


def close_orphans(store: LedgerStore, now_ms: int, worker: str, spending: Spending, *, gone: str | None = None) -> int:
    """Close the open attempts of dead workers other than `worker`, and of `gone` though it lives; how many were lost.
    Raises `Unavailable`."""
    lost_attempts = 0
    while True:
        with store.transaction() as tx:
            rows = tx.orphans(_AT_ONCE, now_ms - DEAD_AFTER_MS, worker, gone)
            if not rows:
                return lost_attempts
            sums = Sums()
            lost_attempts += sum(_close(tx, sums, _attempt(row)) for row in rows)
            tx.add_totals(*sums.rows())
            spending.take(tx, sums.taken)
            tx.forget([(row["request_id"], row["number"]) for row in rows])
            tx.mark(worker)


def _close(tx: Transaction, sums: Sums, attempt: OpenAttempt) -> bool:
    """Whether the attempt was still on its way."""
    settlement = lost(attempt)
    if tx.settle([settled_row(attempt, settlement)]):
        sums.add(attempt, settlement)
        return True
    conclude(tx, sums, attempt)
    return False


def conclude(tx: Transaction, sums: Sums, attempt: OpenAttempt) -> None:
    """Count the request of a settled attempt that another was to follow, where none did."""
    last = tx.settled_last(attempt.request_id)
    if last is not None:
        number, final, outcome = last
        if number == attempt.number and not final:
            tx.finish(attempt.request_id, attempt.number)
            sums.add_end(attempt, Outcome(outcome))


def _attempt(row: Mapping[str, Any]) -> OpenAttempt:
    said = {name: value for name, value in row.items() if name != "worker"}
    return OpenAttempt(**{**said, "stream": bool(row["stream"])})
