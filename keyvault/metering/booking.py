"""Puts entries into balances, in whatever transaction they belong to: a top-up's, or a restore's.

An entry is chained to the one before it, and the balance's own sealed row vouches for the last one; a balance is made
with its first top-up, together with the row in which the ledger books what is taken from it.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from keyvault import audit
from keyvault.clock import Clock
from keyvault.domain.balances import Balance, Entry, EntryKind
from keyvault.domain.budgets import MAX_AMOUNT_USD
from keyvault.domain.keys import ENVIRONMENTS
from keyvault.domain.names import not_found, shown
from keyvault.domain.scopes import Scope, ScopeKind, ScopeRef
from keyvault.errors import Conflict, Tampered, UsageError
from keyvault.metering.spending import Spending
from keyvault.money import CURRENCY, PICO_PER_USD, format_usd
from keyvault.secrets import scrub
from keyvault.storage import balances as rows
from keyvault.storage import epochs, scopes
from keyvault.storage.engine import Transaction

_PAYMENT: Final = re.compile(r"[\x20-\x7e]{1,200}\Z")


def payer_of(tx: Transaction, scope: Scope) -> ScopeRef:
    """Whose balance is meant. Raises `UsageError` for a key, which has none, and `NotFound`."""
    if scope.kind is ScopeKind.KEY:
        hint = "name its customer or project; a key's own cap is a budget: gwctl budgets set"
        raise UsageError("balances belong to customers and projects, not to keys", hint=hint)
    return scopes.find(tx, scope)


def existing(tx: Transaction, scope: Scope, env: str) -> Balance:
    """Raises `NotFound` where nothing was ever put in."""
    ref = payer_of(tx, scope)
    found = rows.find(tx, ref, check_env(env))
    if found is None:
        known = [str(balance.scope) for balance in rows.every(tx) if balance.env == env]
        raise not_found("balance", str(ref), known, otherwise=f"gwctl balances top-up {ref} 10 --reason TEXT")
    return found


def opened(tx: Transaction, scope: ScopeRef, env: str, at: datetime, spending: Spending) -> Balance:
    """The balance of a scope, made where it has none yet."""
    found = rows.find(tx, scope, check_env(env))
    if found is None:
        rows.set_taken(tx, spending.first(rows.create(tx, scope, env, at)))
        found = rows.find(tx, scope, env)
        assert found is not None
    return found


def append(
    tx: Transaction,
    balance: Balance,
    kind: EntryKind,
    amount_pico: int,
    reason: str,
    *,
    at: datetime,
    actor: str,
    payment: str | None = None,
) -> tuple[Balance, Entry]:
    """The balance with one entry more, and that entry. Raises `Tampered` where something else put entries in."""
    if rows.count(tx, balance.id) != balance.entries:
        what = f"entries of the balance of {balance.scope} were put in or removed by something else than gwctl"
        raise Tampered(what, hint="gwctl balances verify")
    if abs(balance.funded_pico + amount_pico) > MAX_AMOUNT_USD * PICO_PER_USD:
        raise UsageError("too large an amount", hint=f"a balance holds {MAX_AMOUNT_USD:,} dollars over its life")
    entry = Entry(balance.entries + 1, at, actor, kind, amount_pico, reason, payment)
    rows.append(tx, balance, entry)
    now = rows.find(tx, balance.scope, balance.env)
    assert now is not None
    return now, entry


def booked(
    tx: Transaction,
    clock: Clock,
    balance: Balance,
    kind: EntryKind,
    amount_pico: int,
    reason: str,
    payment: str | None = None,
) -> tuple[Balance, Entry]:
    """`append` it now, with an audit entry that tells all that a restore needs to book it again, and have running
    workers act by it."""
    now, entry = append(tx, balance, kind, amount_pico, reason, at=clock.now(), actor=audit.actor(), payment=payment)
    told = {"env": now.env, "number": entry.number, "amount": format_usd(entry.amount_pico), "reason": entry.reason}
    told |= {"payment": entry.payment} if entry.payment else {}
    audit.record(tx, clock, f"balances.{entry.kind}", str(now.scope), **told)
    epochs.bump(tx, "money")
    return now, entry


def paid_before(
    tx: Transaction, balance: Balance, kind: EntryKind, amount_pico: int, payment: str | None
) -> Entry | None:
    """The entry that a payment has already. Raises `Conflict` where it says something else, or was paid into another
    balance."""
    if payment is None:
        return None
    booked = dict(rows.by_payment(tx, payment))
    found = booked.pop(balance.id, None)
    if found is None and booked:
        other = next((each for each in rows.every(tx) if each.id in booked), None)
        name = "a balance that is gone" if other is None else other.name
        hint = "gwctl balances list" if other is None else f"gwctl balances history {other.scope} --env {other.env}"
        raise Conflict(f"payment {shown(payment)} was booked on another balance already: {name}", hint=hint)
    if found is not None and (found.kind, found.amount_pico) != (kind, amount_pico):
        raise Conflict(
            f"payment {shown(payment)} is entry {found.number} of {balance.scope} already, of another amount: "
            f"{format_usd(found.amount_pico)} {CURRENCY}",
            hint=f"gwctl balances history {balance.scope}",
        )
    return found


def check_env(env: str) -> str:
    if env not in ENVIRONMENTS:
        raise UsageError(f"no such environment of keys: {shown(env)}", hint="--env live or --env test")
    return env


def check_reason(text: str) -> str:
    """Raises `UsageError` for a reason that says nothing or cannot be shown."""
    text = scrub(text.strip())
    if not text or len(text) > 200 or not text.isprintable():
        raise UsageError("a reason is needed, of at most 200 characters", hint="--reason 'invoice 2026-11'")
    return text


def check_payment(text: str | None) -> str | None:
    if text is not None and (not _PAYMENT.match(text) or scrub(text) != text):
        raise UsageError(f"not an id of a payment: {shown(text)}", hint="at most 200 printable ASCII characters")
    return text
