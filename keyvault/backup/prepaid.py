"""Prepaid money in a restore: entries made after the backup are made again, and what was spent since stays spent.

The ledger's rows of what was spent after the backup are gone with the database that was put aside. What is remembered
outside it (`keyvault.metering.remembered`) tells how much that was: it is taken off each balance by an entry, so that
what was taken and the attempts on record go on to say the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from keyvault import audit
from keyvault.audit import Entry
from keyvault.backup.outcomes import Outcome, Result
from keyvault.clock import Clock
from keyvault.domain.balances import Balance, EntryKind
from keyvault.domain.scopes import parse_scope
from keyvault.errors import NotFound, UsageError
from keyvault.metering import booking
from keyvault.metering.remembered import Seen
from keyvault.metering.spending import Spending
from keyvault.money import CURRENCY, format_usd, parse_signed_usd
from keyvault.storage import balances as rows
from keyvault.storage import epochs
from keyvault.storage.engine import Transaction


def entered(spending: Spending, tx: Transaction, entry: Entry) -> str | None:
    """Make an entry again, as the audit log tells it; why that cannot be, in plain words."""
    told = entry.detail
    try:
        amount = parse_signed_usd(str(told["amount"]))
        ref = booking.payer_of(tx, parse_scope(entry.scope))
        balance = booking.opened(tx, ref, str(told["env"]), entry.at, spending)
    except (NotFound, UsageError, KeyError) as error:
        why = error.message if isinstance(error, NotFound | UsageError) else "it does not say how much"
        return f"{told.get('amount')} {CURRENCY} were not booked again: {why}"
    kind, payment = EntryKind(entry.action.partition(".")[2]), told.get("payment")
    booking.append(
        tx,
        balance,
        kind,
        amount,
        str(told.get("reason", "")),
        at=entry.at,
        actor=entry.actor,
        payment=None if payment is None else str(payment),
    )
    return None


def spent_since(tx: Transaction, clock: Clock, seen: Mapping[str, Seen]) -> list[Outcome]:
    """Take off every balance what was seen to be spent of it, beyond what the restored database says."""
    found = []
    for balance in rows.every(tx):
        if (beyond := _beyond(balance, seen)) > 0:
            _take_off(tx, clock, balance, beyond)
            why = f"{format_usd(beyond)} {CURRENCY} were spent after the backup, and were taken off"
            found.append(Outcome(str(balance.scope), "balances.spent", Result.REPEATED, why, denied=False))
    if found:
        epochs.bump(tx, "money")
    return found


def anything_since(tx: Transaction, seen: Mapping[str, Seen]) -> bool:
    """Whether more was seen to be spent of any balance than the restored database says."""
    return any(_beyond(balance, seen) > 0 for balance in rows.every(tx))


def _beyond(balance: Balance, seen: Mapping[str, Seen]) -> int:
    known = seen.get(balance.name)
    return 0 if known is None else known.taken_pico - balance.charged_pico - balance.doubt_pico


def seen_now(tx: Transaction) -> dict[str, Seen]:
    """What is to be remembered of the restored database."""
    known = {row.balance_id: row for row in rows.taken(tx)}
    found = ((balance.name, known.get(balance.id)) for balance in rows.every(tx))
    return {name: Seen(row.version, row.charged_pico, row.doubt_pico) for name, row in found if row is not None}


def _take_off(tx: Transaction, clock: Clock, balance: Balance, pico: int) -> None:
    reason, at = "spent after the backup that was restored", clock.now()
    booking.append(tx, balance, EntryKind.ADJUST, -pico, reason, at=at, actor=audit.actor())
    told = {"env": balance.env, "amount": format_usd(-pico), "reason": reason}
    audit.record(tx, clock, "balances.adjust", str(balance.scope), **told)
