"""Closed months in a restore: statements and credit notes issued after the backup are issued again as they were, under
their numbers, and what was priced anew since is remembered, so that nothing is booked twice."""

from __future__ import annotations

import json
from datetime import datetime

from keyvault.audit import Entry
from keyvault.backup.outcomes import Outcome, Result
from keyvault.clock import to_ms
from keyvault.domain.statements import Statement, digest, read, written
from keyvault.errors import Tampered
from keyvault.money import CURRENCY, parse_signed_usd
from keyvault.storage import closing, customers
from keyvault.storage import repricing as runs
from keyvault.storage.closing import NewAdjustment
from keyvault.storage.engine import Transaction
from keyvault.storage.repricing import Repricing


def issued_again(tx: Transaction, entry: Entry) -> Outcome:
    """Issue what the audit log tells, as it was."""
    why = _issued(tx, entry)
    result = Result.REPEATED if why is None else Result.LOST
    return Outcome(entry.scope, entry.action, result, why or "issued again, as it was", denied=False)


def _issued(tx: Transaction, entry: Entry) -> str | None:
    """Why it cannot be, in plain words."""
    try:
        document = read(json.dumps(entry.detail.get("content")))
    except Tampered:
        return "the audit log does not say what stood on it"
    if digest(written(document)).hex() != entry.detail.get("digest"):
        return "what the audit log says of it is not what was issued"
    customer = customers.find_customer(tx, document.customer)
    if customer is None:
        return f"the customer {document.customer} is not in the backup; its number is not given again"
    closing.insert(tx, customer.id, document)
    if isinstance(document, Statement) and document.number is not None:
        waiting = closing.waiting(tx, document.last_ms, customer.id).get(customer.id, [])
        closing.place(tx, [each.id for each in waiting], document.number)
    return None


def adjusted_again(tx: Transaction, entry: Entry) -> Outcome:
    """What was to be on the customer's next statement is so again."""
    amount, reason = str(entry.detail["amount"]), str(entry.detail["reason"])
    customer = customers.find_customer(tx, entry.scope.partition(":")[2])
    if customer is None:
        why = f"{amount} {CURRENCY} are on no statement: the customer is not in the backup"
        return Outcome(entry.scope, entry.action, Result.LOST, why, denied=False)
    adjustment = NewAdjustment(customer.id, "", "", parse_signed_usd(amount), reason)
    closing.add_waiting(tx, [adjustment], to_ms(entry.at))
    why = f"{amount} {CURRENCY} are on the next statement again"
    return Outcome(entry.scope, entry.action, Result.REPEATED, why, denied=False)


def repriced_again(tx: Transaction, entry: Entry) -> Outcome:
    """Remember a run, and what waits for statements since. What it put on balances has entries of its own."""
    told = entry.detail
    ids = {customer.name: customer.id for customer in customers.list_customers(tx)}
    multipliers = {ids[name]: int(ppm) for name, ppm in dict(told["multipliers"]).items() if name in ids}
    span = [_ms(told[name]) for name in ("since", "until")]
    left_out = frozenset(map(str, told["left_out"]))
    run = Repricing(0, span[0], span[1], told["model"], told["upstream"], int(told["price_id"]), multipliers, left_out)
    runs.insert(tx, run, to_ms(entry.at))
    lines = [
        NewAdjustment(
            ids[a["customer"]], a["project"], a["model"], parse_signed_usd(a["amount"]), a["reason"], _ms(a["corrects"])
        )
        for a in told["adjustments"]
        if a["customer"] in ids
    ]
    closing.add_waiting(tx, lines, to_ms(entry.at))
    why = "remembered, so that it is not booked twice"
    return Outcome(entry.scope, entry.action, Result.REPEATED, why, denied=False)


def _ms(told: object) -> int:
    return to_ms(datetime.fromisoformat(str(told)))
