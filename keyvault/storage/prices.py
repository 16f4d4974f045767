"""The price book's rows: append-only versions of own prices and of a catalogue's.

A catalogue's model is recorded whole each time anything about it changes: all rows of its newest `recorded_ms` are its
prices, in the catalogue's order; older ones stay for the costs that name them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import sqlalchemy as sa

from keyvault.clock import from_ms, to_ms
from keyvault.domain.names import fold
from keyvault.domain.prices import Price, Rates
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import meta, prices, upstreams
from keyvault.storage.seals import added

_CATALOGUE = "price_catalogue"


@dataclass(frozen=True, slots=True)
class Listed:
    """A price and how model names match it: a clause of the catalogue, or None for an own price."""

    price: Price
    match: Mapping[str, Any] | None


def insert(tx: Transaction, item: Listed) -> int:
    """Append a version; its new id (the price's own is ignored)."""
    inserted = tx.execute(sa.insert(prices).values(_row(item)).returning(prices.c.id))
    price_id = int(inserted.scalar_one())
    added(tx, "prices", price_id)
    return price_id


def insert_all(tx: Transaction, items: Iterable[Listed]) -> None:
    rows = [_row(item) for item in items]
    if rows:
        ids = tx.execute(sa.insert(prices).returning(prices.c.id), rows).scalars().all()
        added(tx, "prices", *ids)


def own(tx: Transaction, up_to: int | None = None) -> list[Listed]:
    """All versions of own prices, oldest first; with `up_to` those that there were with that one."""
    found = sa.select(prices).where(prices.c.upstream.is_not(None) & _known(up_to))
    return [listed(row) for row in tx.execute(found.order_by(prices.c.from_ms, prices.c.id))]


def catalogue_rows(tx: Transaction, up_to: int | None = None) -> dict[str, list[Any]]:
    """The newest recording of each catalogue model, by catalogue, in the order of recording; to be read by `listed`.
    With `up_to` of those that there were with that one.

    Most of a catalogue is never asked for, and reading a row costs more than fetching it.
    """
    newest = sa.func.max(prices.c.recorded_ms).over(partition_by=(prices.c.catalogue, prices.c.model)).label("newest")
    every = sa.select(prices, newest).where(prices.c.catalogue.is_not(None) & _known(up_to)).subquery()
    found: dict[str, list[Any]] = {}
    for row in tx.execute(sa.select(every).where(every.c.recorded_ms == every.c.newest).order_by(every.c.id)):
        found.setdefault(row.catalogue, []).append(row)
    return found


def last(tx: Transaction) -> int:
    """The number of the newest version of all; 0 in an empty book."""
    return int(tx.execute(sa.select(sa.func.coalesce(sa.func.max(prices.c.id), 0))).scalar_one())


def catalogues(tx: Transaction) -> dict[str, str | None]:
    """The catalogue of each upstream, by its name."""
    return {row.name: row.catalogue for row in tx.execute(sa.select(upstreams.c.name, upstreams.c.catalogue))}


def get(tx: Transaction, price_id: int) -> Price | None:
    row = tx.execute(sa.select(prices).where(prices.c.id == price_id)).first()
    return None if row is None else listed(row).price


def fallbacks(tx: Transaction) -> dict[str, tuple[str, ...]]:
    """Which catalogues stand in for another's missing models, by catalogue."""
    text = tx.execute(sa.select(meta.c.value).where(meta.c.name == _CATALOGUE)).scalar_one_or_none()
    return {name: tuple(others) for name, others in json.loads(text or "{}").items()}


def set_fallbacks(tx: Transaction, found: Mapping[str, Sequence[str]]) -> None:
    tx.execute(sa.delete(meta).where(meta.c.name == _CATALOGUE))
    tx.execute(sa.insert(meta).values(name=_CATALOGUE, value=json.dumps({k: list(v) for k, v in found.items()})))


def upstream(tx: Transaction, name: str) -> tuple[str, str | None] | None:
    """Name and catalogue of an upstream, by name without regard to case."""
    found = sa.select(upstreams.c.name, upstreams.c.catalogue).where(upstreams.c.folded == fold(name))
    row = tx.execute(found).first()
    return None if row is None else (row.name, row.catalogue)


def upstream_names(tx: Transaction) -> list[str]:
    return list(tx.execute(sa.select(upstreams.c.name).order_by(upstreams.c.folded)).scalars())


def _known(up_to: int | None) -> sa.ColumnElement[bool]:
    return sa.true() if up_to is None else prices.c.id <= up_to


def _row(item: Listed) -> dict[str, Any]:
    price = item.price
    match = None if item.match is None else {"clause": item.match, "daily": price.daily}
    return {
        "upstream": price.upstream,
        "catalogue": price.catalogue,
        "model": price.model,
        "match": None if match is None else json.dumps(match, sort_keys=True),
        "rates": json.dumps({k: v for k, v in asdict(price.rates).items() if v is not None}),
        "from_ms": to_ms(price.effective_from),
        "source": price.source,
        "note": price.note,
        "recorded_ms": to_ms(price.recorded_at),
    }


def listed(row: Any) -> Listed:
    """A price as it stands in a row."""
    match = json.loads(row.match) if row.match else {}
    daily = match.get("daily")
    price = Price(
        id=row.id,
        upstream=row.upstream,
        catalogue=row.catalogue,
        model=row.model,
        rates=_rates(json.loads(row.rates)),
        effective_from=from_ms(row.from_ms),
        source=row.source,
        recorded_at=from_ms(row.recorded_ms),
        note=row.note,
        daily=tuple(daily) if daily else None,
    )
    return Listed(price, match.get("clause"))


_RATES = tuple(field.name for field in fields(Rates) if field.name != "per_call")


def _rates(stored: Mapping[str, Any]) -> Rates:
    rates = {name: tuple(tuple(tier) for tier in stored[name]) for name in _RATES if name in stored}
    return Rates(**rates, per_call=stored.get("per_call"))
