"""Rows of balances, their entries, and what was taken from them."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from keyvault.clock import from_ms
from keyvault.domain.balances import Balance
from keyvault.domain.scopes import ScopeKind, ScopeRef
from keyvault.storage import scopes
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import balance_spending, balances


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken from one balance so far, as the ledger wrote it."""

    balance_id: int
    version: int
    charged_pico: int
    doubt_pico: int
    mac: bytes | None


def every(tx: Transaction) -> list[Balance]:
    """All balances, in the order in which they were made; what nobody has written was taken of none."""
    query = sa.select(balances, balance_spending.c.charged_pico, balance_spending.c.doubt_pico)
    rows = tx.execute(query.outerjoin(balance_spending).order_by(balances.c.id)).all()
    refs = scopes.refs(tx) if rows else {}
    found = []
    for row in rows:
        kind = ScopeKind(row.scope_kind)
        found.append(
            Balance(
                id=row.id,
                scope=refs.get((kind, row.scope_id)) or ScopeRef(kind, row.scope_id, f"#{row.scope_id}"),
                env=row.env,
                funded_pico=row.funded_pico,
                charged_pico=row.charged_pico or 0,
                doubt_pico=row.doubt_pico or 0,
                low_pico=row.low_pico,
                created_at=from_ms(row.created_ms),
            )
        )
    return found


def taken(tx: Transaction) -> list[Taken]:
    """What was taken from every balance."""
    return [
        Taken(
            row.balance_id, row.version, row.charged_pico, row.doubt_pico, None if row.mac is None else bytes(row.mac)
        )
        for row in tx.execute(sa.select(balance_spending).order_by(balance_spending.c.balance_id))
    ]
