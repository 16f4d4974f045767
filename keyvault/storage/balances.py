"""Rows of balances, their entries, and what was taken from them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from msgspec import Struct
from msgspec.structs import asdict as fields_of

from keyvault.clock import from_ms, to_ms, ulid_at
from keyvault.domain.balances import BEGIN, Balance, Entry, EntryKind, chained
from keyvault.domain.scopes import ScopeKind, ScopeRef
from keyvault.errors import Tampered
from keyvault.storage import scopes
from keyvault.storage.engine import Row, Transaction
from keyvault.storage.schema import attempts, balance_entries, balance_spending, balances
from keyvault.storage.seals import added, touch

_PAYERS: Final = frozenset([ScopeKind.CUSTOMER.value, ScopeKind.PROJECT.value])
"""Whose balances there are; a row that says it is anything else's is as good as gone."""
_MICRO: Final = 1_000_000
"""Sums are made in parts: SQLite's overflow at nine million dollars."""


class Taken(Struct, frozen=True, gc=False):
    """What was taken from one balance so far, as the ledger wrote it."""

    balance_id: int
    version: int
    charged_pico: int
    doubt_pico: int
    mac: bytes | None


class Link(NamedTuple):
    """An entry as it lies there, whatever somebody made of it: what its digest is over, and that digest."""

    number: Any
    at_ms: Any
    actor: Any
    kind: Any
    amount_pico: Any
    reason: Any
    payment: Any
    digest: Any

    @property
    def said(self) -> tuple[Any, ...]:
        return self[:-1]


_LINK: Final = [balance_entries.c[name] for name in Link._fields]
_BALANCES: Final = (
    sa.select(
        balances,
        balance_spending.c.version.label("taken_version"),
        balance_spending.c.charged_pico,
        balance_spending.c.doubt_pico,
        balance_spending.c.mac,
    )
    .outerjoin(balance_spending)
    .order_by(balances.c.id)
)
_OWN: Final = len(balances.columns)


def every(tx: Transaction) -> list[Balance]:
    """All balances, in the order in which they were made; what nobody has written was taken of none."""
    return read(tx, stored(tx).values())


def stored(tx: Transaction) -> Mapping[int, Row]:
    """All balances as they lie there, with what was taken from them, by id: to tell which are others than they were, at
    little cost."""
    return {row[0]: row for row in tx.execute(_BALANCES)}


def read(tx: Transaction, rows: Collection[Row]) -> list[Balance]:
    """What rows say. One that says it is nobody's who pays is as good as gone."""
    refs = scopes.refs_of(tx, rows)
    return [_balance(row, refs[row.scope_kind, row.scope_id]) for row in rows if row.scope_kind in _PAYERS]


def doubted_since(tx: Transaction, balance_id: int, since_ms: int) -> int:
    """What attempts that drew on a balance put in doubt, of those that began then or later. Reads all of these."""
    doubt = attempts.c.doubt_pico
    sums = (sa.func.sum(doubt // _MICRO), sa.func.sum(doubt % _MICRO))
    these = (attempts.c.request_id >= ulid_at(since_ms)) & (attempts.c.balance_id == balance_id)
    whole, rest = tx.execute(sa.select(*sums).where(these)).one()
    return int(whole or 0) * _MICRO + int(rest or 0)


def own(row: Row) -> tuple[Any, ...]:
    """What a row says, but for what was taken: what its seal is over, and more."""
    return tuple(row[:_OWN])


def taken_of(row: Row) -> Taken | None:
    """What was taken, as the ledger wrote it; None where that is gone."""
    if row.taken_version is None:
        return None
    mac = None if row.mac is None else bytes(row.mac)
    return Taken(row.id, row.taken_version, row.charged_pico, row.doubt_pico, mac)


def find(tx: Transaction, scope: ScopeRef, env: str) -> Balance | None:
    columns = balances.c
    this = (columns.scope_kind == scope.kind.value) & (columns.scope_id == scope.id) & (columns.env == env)
    return next(iter(read(tx, tx.execute(_BALANCES.where(this)).all())), None)


def create(tx: Transaction, scope: ScopeRef, env: str, at: datetime) -> int:
    """An empty balance; its id."""
    row = {"scope_kind": scope.kind.value, "scope_id": scope.id, "env": env, "created_ms": to_ms(at)}
    balance_id = int(tx.execute(sa.insert(balances).values(row).returning(balances.c.id)).scalar_one())
    added(tx, "balances", balance_id)
    return balance_id


def append(tx: Transaction, balance: Balance, entry: Entry) -> None:
    """Add an entry, the next one of its balance, and what the balance's own row says of its entries."""
    touch(tx, "balances", balance.id)
    head = chained(balance.id, balance.head, entry.said)
    row = {**asdict(entry), "kind": entry.kind.value, "at_ms": to_ms(entry.at)}
    del row["at"]
    tx.execute(sa.insert(balance_entries).values(balance_id=balance.id, digest=head, **row))
    released = entry.amount_pico if entry.kind is EntryKind.RELEASE else 0
    set_chain(
        tx,
        balance.id,
        entries=entry.number,
        funded_pico=balance.funded_pico + entry.amount_pico,
        released_pico=balance.released_pico + released,
        head=head,
    )


def set_chain(tx: Transaction, balance_id: int, **values: Any) -> None:
    """What a balance's row says of its entries: `entries`, `funded_pico`, `released_pico`, `head`."""
    touch(tx, "balances", balance_id)
    tx.execute(sa.update(balances).where(balances.c.id == balance_id).values(values))


def relink(tx: Transaction, balance_id: int, number: int, link: Link) -> None:
    """Give the entry of some number its place in the chain: `link` says which, and its digest."""
    this = (balance_entries.c.balance_id == balance_id) & (balance_entries.c.number == number)
    tx.execute(sa.update(balance_entries).where(this).values(number=link.number, digest=link.digest))


def set_low(tx: Transaction, balance_id: int, low_pico: int | None) -> None:
    touch(tx, "balances", balance_id)
    tx.execute(sa.update(balances).where(balances.c.id == balance_id).values(low_pico=low_pico))


def chain(tx: Transaction, balance_id: int, after: int = 0) -> list[Link]:
    """The entries of a balance behind one, oldest first."""
    these = (balance_entries.c.balance_id == balance_id) & (balance_entries.c.number > after)
    rows = tx.execute(sa.select(*_LINK).where(these).order_by(balance_entries.c.number))
    return [Link(*row) for row in rows]


def page(tx: Transaction, balance_id: int, before: int | None, limit: int) -> list[Entry]:
    """The newest entries first, only those before a number where one is given."""
    query = sa.select(balance_entries).where(balance_entries.c.balance_id == balance_id)
    if before is not None:
        query = query.where(balance_entries.c.number < before)
    return [_entry(row) for row in tx.execute(query.order_by(balance_entries.c.number.desc()).limit(limit))]


def by_payment(tx: Transaction, payment: str) -> list[tuple[int, Entry]]:
    """The entries of a payment, each with the id of its balance, whichever that is."""
    query = sa.select(balance_entries).where(balance_entries.c.payment == payment)
    return [(row.balance_id, _entry(row)) for row in tx.execute(query.order_by(balance_entries.c.balance_id))]


def count(tx: Transaction, balance_id: int) -> int:
    """How many entries there are, whatever the balance's row says."""
    query = sa.select(sa.func.count()).where(balance_entries.c.balance_id == balance_id)
    return int(tx.execute(query).scalar_one())


def taken(tx: Transaction, *, held: bool = False) -> list[Taken]:
    """What was taken from every balance. With `held` the ledger does not change it before the transaction ends."""
    query = sa.select(balance_spending).order_by(balance_spending.c.balance_id)
    return [
        Taken(
            row.balance_id, row.version, row.charged_pico, row.doubt_pico, None if row.mac is None else bytes(row.mac)
        )
        for row in tx.execute(query.with_for_update() if held else query)
    ]


def set_taken(tx: Transaction, row: Taken) -> None:
    """Write what was taken from a balance, in the place of what stood there."""
    tx.execute(sa.delete(balance_spending).where(balance_spending.c.balance_id == row.balance_id))
    tx.execute(sa.insert(balance_spending).values(fields_of(row)))


def attempted(tx: Transaction) -> Mapping[int, tuple[int, int]]:
    """Balance id → charge and doubt of every attempt that drew on it, as far as the ledger keeps them. Reads all of
    the ledger."""
    sums = [
        expression
        for column in (attempts.c.charge_pico, attempts.c.doubt_pico)
        for expression in (sa.func.sum(column // _MICRO), sa.func.sum(column % _MICRO))
    ]
    query = sa.select(attempts.c.balance_id, *sums).where(attempts.c.balance_id.is_not(None))
    found = {}
    for balance_id, *parts in tx.execute(query.group_by(attempts.c.balance_id)):
        charged, charged_rest, doubt, doubt_rest = (int(part or 0) for part in parts)
        found[int(balance_id)] = (charged * _MICRO + charged_rest, doubt * _MICRO + doubt_rest)
    return found


def _balance(row: Row, scope: ScopeRef) -> Balance:
    return Balance(
        id=row.id,
        scope=scope,
        env=row.env,
        funded_pico=row.funded_pico,
        charged_pico=row.charged_pico or 0,
        doubt_pico=row.doubt_pico or 0,
        low_pico=row.low_pico,
        created_at=from_ms(row.created_ms),
        released_pico=row.released_pico,
        entries=row.entries,
        head=BEGIN if row.head is None else bytes(row.head),
    )


def _entry(row: Row) -> Entry:
    try:
        return Entry(
            number=row.number,
            at=from_ms(row.at_ms),
            actor=row.actor,
            kind=EntryKind(row.kind),
            amount_pico=row.amount_pico,
            reason=row.reason,
            payment=row.payment,
        )
    except (ValueError, TypeError, OverflowError):
        what = f"entry {row.number} of balance number {row.balance_id} is not what gwctl wrote"
        raise Tampered(what, hint="gwctl balances verify") from None
