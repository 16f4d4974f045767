"""Captures in a restore: what was ended, destroyed or marked after the backup is so again."""

from __future__ import annotations

from keyvault.audit import Entry
from keyvault.backup.outcomes import Outcome, Result, lost, told
from keyvault.clock import to_ms
from keyvault.domain.captures import Capture, Ended
from keyvault.storage import captures, customers
from keyvault.storage import vault as vault_rows
from keyvault.storage.engine import Transaction


def marked_again(tx: Transaction, entry: Entry) -> Outcome:
    customer = customers.find_customer(tx, entry.scope.partition(":")[2])
    if customer is None:
        return lost(tx, entry)
    if not customer.never_capture:
        captures.mark(tx, customer.id, to_ms(entry.at))
    return told(entry, Result.REPEATED, "nothing of it is captured since the backup")


def ended_again(tx: Transaction, entry: Entry) -> Outcome | None:
    capture = _capture(tx, entry)
    if capture is None or capture.ended:
        return None
    captures.end(tx, capture.id, Ended(entry.detail.get("reason", Ended.STOPPED)), to_ms(entry.at))
    return told(entry, Result.REPEATED, "ended after the backup")


def destroyed_again(tx: Transaction, entry: Entry) -> Outcome | None:
    """Its key must not come back: copies of what it opens may still be about."""
    capture = _capture(tx, entry)
    if capture is None:
        return None
    vault_rows.delete_record(tx, capture.record_id)
    captures.delete(tx, capture.id)
    return told(entry, Result.REPEATED, "destroyed after the backup")


def _capture(tx: Transaction, entry: Entry) -> Capture | None:
    """By the name of its key, for after a restore numbers are given again."""
    found = captures.every(tx)
    return next((each for each in found if each.record_id == entry.detail.get("record")), None)
