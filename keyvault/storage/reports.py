"""What reports read: sums over totals, names behind ids, rows of single requests.

Money is summed in two parts, because SQLite's `sum` gives up where a sum leaves 64 bits (at 9.2 million dollars).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from keyvault.storage.compiled import positional_dialect
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import (
    SUMS,
    aliases,
    attempts,
    customers,
    keys,
    ledger_changes,
    open_attempts,
    projects,
    targets,
    totals_day,
    totals_minute,
    totals_quarter,
)


class Level(Enum):
    """Which totals to read; the value is the minutes of a bucket."""

    MINUTE = 1
    QUARTER = 15
    DAY = 1440


_TABLES: Final = {Level.MINUTE: totals_minute, Level.QUARTER: totals_quarter, Level.DAY: totals_day}
_MONEY: Final = ("cost_pico", "charge_pico", "doubt_pico")
_PART: Final = 10**9
_PLAIN: Final = tuple(name for name in SUMS if not name.startswith(("first_", "total_")))
COUNTS: Final = (*(name for name in _PLAIN if name not in _MONEY), *_MONEY)
"""What `sums` gives in front of histograms."""
HISTOGRAMS: Final = tuple(name for name in SUMS if name.startswith(("first_", "total_")))


@dataclass(frozen=True, slots=True)
class Slices:
    """Cuts time into slices: slice = (bucket + offset) / buckets."""

    buckets: int
    offset: int = 0


Where = Mapping[str, Collection[int]]
"""Only these ids, by column."""


class Sum(NamedTuple):
    """One group. `slice` is None where time was not cut; `ids` and `values` are as asked, histograms last."""

    slice: int | None
    ids: tuple[int, ...]
    values: list[int]


def sums(
    tx: Transaction,
    level: Level,
    first: int,
    last: int,
    ids: Sequence[str] = (),
    *,
    slices: Slices | None = None,
    counts: Sequence[str] = COUNTS,
    histograms: bool = False,
    where: Where | None = None,
) -> list[Sum]:
    """Sums over the buckets from `first` up to, but without, `last`, grouped by slice of time and by some of the ids.

    `counts`: the sums asked for, those of money last.
    """
    plain, money = [c for c in counts if c not in _MONEY], [c for c in counts if c in _MONEY]
    asked = _Asked(level, tuple(ids), slices.buckets if slices else None, (*plain, *money), histograms)
    values = {"first": first, "last": last, "offset": slices.offset if slices else 0}
    shape = (int(slices is not None), len(ids) + int(slices is not None), len(plain), len(money))
    return [_sum(row, *shape) for row in _execute(tx, asked, values, where or {}).all() if row[-1] is not None]


class _Asked(NamedTuple):
    level: Level
    ids: tuple[str, ...]
    buckets: int | None
    counts: tuple[str, ...]
    histograms: bool


def _execute(tx: Transaction, asked: _Asked, values: dict[str, int], where: Where) -> Any:
    """The rows of what is asked: ready-made text where nothing is filtered, as a console asks it every second."""
    if not where:
        text, names = _compiled(asked, tx.dialect.name)
        return tx.exec_driver_sql(text, tuple(values[name] for name in names))
    statement, table = _select(asked), _TABLES[asked.level]
    for name, wanted in where.items():
        statement = statement.where(table.c[name].in_(sorted(wanted)))
    return tx.execute(statement, values)


@cache
def _compiled(asked: _Asked, dialect: str) -> tuple[str, tuple[str, ...]]:
    """The statement for the driver, and the names of its parameters in order."""
    compiled = _select(asked).compile(dialect=positional_dialect(dialect == "sqlite"))
    return str(compiled), tuple(compiled.positiontup or ())


def _select(asked: _Asked) -> sa.Select[Any]:
    table = _TABLES[asked.level]
    groups: list[Any] = [table.c[name] for name in asked.ids]
    if asked.buckets is not None:
        offset, buckets = sa.bindparam("offset", type_=sa.Integer), sa.literal_column(str(asked.buckets), sa.Integer)
        groups.insert(0, ((table.c.bucket + offset) // buckets).label("slice"))
    part = sa.literal_column(str(_PART), sa.BigInteger)
    summed: list[Any] = []
    for name in asked.counts:
        column = table.c[name]
        summed += [sa.func.sum(column // part), sa.func.sum(column % part)] if name in _MONEY else [sa.func.sum(column)]
    if asked.histograms:
        summed += [sa.func.sum(table.c[name]) for name in HISTOGRAMS]
    first, last = sa.bindparam("first", type_=sa.Integer), sa.bindparam("last", type_=sa.Integer)
    within = sa.and_(table.c.bucket >= first, table.c.bucket < last)
    names = ["slice" if asked.buckets is not None and at == 0 else group for at, group in enumerate(groups)]
    return sa.select(*groups, *summed).where(within).group_by(*names)


def _sum(row: Any, cut: int, groups: int, plain: int, money: int) -> Sum:
    values = list(map(int, row[groups:]))
    if not money:
        return Sum(int(row[0]) if cut else None, tuple(row[cut:groups]), values)
    end = plain + 2 * money
    whole = [values[at] * _PART + values[at + 1] for at in range(plain, end, 2)]
    return Sum(int(row[0]) if cut else None, tuple(row[cut:groups]), [*values[:plain], *whole, *values[end:]])


@dataclass(frozen=True, slots=True)
class KeyNames:
    key: str
    project_id: int
    env: str
    tags: Mapping[str, str]
    """Its own, without those of what is above it."""


@dataclass(frozen=True, slots=True)
class ProjectNames:
    project: str
    customer: str
    tags: Mapping[str, str]
    """The customer's and the project's; the project's win."""


@dataclass(frozen=True, slots=True)
class Names:
    """What ids stand for."""

    keys: Mapping[int, KeyNames]
    projects: Mapping[int, ProjectNames]
    aliases: Mapping[int, str]
    targets: Mapping[int, tuple[str, str]]


def names(tx: Transaction) -> Names:
    known = sa.select(keys.c.id, keys.c.name, keys.c.project_id, keys.c.env, keys.c.tags)
    owned = sa.select(
        projects.c.id,
        projects.c.name,
        customers.c.name.label("customer"),
        customers.c.tags.label("customer_tags"),
        projects.c.tags,
    ).join(customers, projects.c.customer_id == customers.c.id)
    return Names(
        keys={r.id: KeyNames(r.name, r.project_id, r.env, _tags(r.tags)) for r in tx.execute(known)},
        projects={r.id: ProjectNames(r.name, r.customer, _tags(r.customer_tags, r.tags)) for r in tx.execute(owned)},
        aliases={r.id: r.name for r in tx.execute(sa.select(aliases))},
        targets={r.id: (r.upstream, r.model) for r in tx.execute(sa.select(targets))},
    )


def aliases_by_id(tx: Transaction) -> Mapping[int, str]:
    return {row.id: row.name for row in tx.execute(sa.select(aliases))}


class KeyOwner(NamedTuple):
    """Whose a key is."""

    project_id: int
    env: str


def key_owners(tx: Transaction) -> Mapping[int, KeyOwner]:
    """By key id."""
    return {
        row.id: KeyOwner(row.project_id, row.env)
        for row in tx.execute(sa.select(keys.c.id, keys.c.project_id, keys.c.env))
    }


def project_owners(tx: Transaction) -> Mapping[int, int]:
    """Customer ids by project id."""
    return {row.id: row.customer_id for row in tx.execute(sa.select(projects.c.id, projects.c.customer_id))}


def _tags(*texts: str) -> Mapping[str, str]:
    merged: dict[str, str] = {}
    for text in texts:
        if text != "{}":
            merged.update(json.loads(text))
    return merged


def last_finals(
    tx: Transaction,
    limit: int | None,
    after: str | None = None,
    tags: Mapping[str, str] | None = None,
    env: str | None = None,
) -> list[str]:
    """Ids of requests that have ended, oldest first: the newest so many, or the first so many after an id. `tags`: of
    those only that came with all of these; `env`: of those only that came with a key of it."""
    found = sa.select(attempts.c.request_id).where(attempts.c.final == 1).limit(limit)
    place = sa.func.instr if tx.dialect.name == "sqlite" else sa.func.strpos
    for name, value in (tags or {}).items():  # a quote within a name or value is escaped, so that this tells exactly
        found = found.where(place(attempts.c.tags, json.dumps({name: value})[1:-1]) > 0)
    if env is not None:
        found = found.where(attempts.c.key_id.in_(sa.select(keys.c.id).where(keys.c.env == env)))
    if after is None:
        newest = tx.execute(found.order_by(attempts.c.request_id.desc())).scalars().all()
        return list(reversed(newest))
    return list(tx.execute(found.where(attempts.c.request_id > after).order_by(attempts.c.request_id)).scalars())


def attempts_of(tx: Transaction, request_ids: Sequence[str]) -> list[Any]:
    """Settled attempts of requests, as rows of the table, in order."""
    found: list[Any] = []
    for at in range(0, len(request_ids), 500):
        of = attempts.c.request_id.in_(request_ids[at : at + 500])
        found += tx.execute(sa.select(attempts).where(of).order_by(attempts.c.request_id, attempts.c.number))
    return found


def costs_of(tx: Transaction, request_id: str) -> list[int | None]:
    """What each attempt of a request cost, None for one that is open or whose cost is not known."""
    settled = sa.select(attempts.c.cost_pico).where(attempts.c.request_id == request_id)
    known = sa.select(attempts.c.number).where(attempts.c.request_id == request_id)
    still = sa.select(sa.null()).where(
        open_attempts.c.request_id == request_id, open_attempts.c.number.not_in(known)
    )  # an attempt may stand in both for a moment
    return list(tx.execute(settled.union_all(still)).scalars())


def open_of(tx: Transaction, request_id: str) -> list[Any]:
    """Open attempts of a request, as rows of the table, in order; settled ones may be among them."""
    of = open_attempts.c.request_id == request_id
    return list(tx.execute(sa.select(open_attempts).where(of).order_by(open_attempts.c.number)))


def oldest_open(tx: Transaction) -> str | None:
    """The id of the oldest request with an open attempt."""
    return tx.execute(sa.select(sa.func.min(open_attempts.c.request_id))).scalar_one()  # type: ignore[no-any-return]


def newest_started_ms(tx: Transaction) -> int | None:
    """When the newest settled attempt began."""
    newest = sa.select(attempts.c.started_ms).order_by(attempts.c.request_id.desc()).limit(1)
    return tx.execute(newest).scalar_one_or_none()


def change(tx: Transaction) -> int:
    """How many transactions all ledgers have committed; grows with each."""
    return int(tx.execute(sa.select(sa.func.coalesce(sa.func.sum(ledger_changes.c.changes), 0))).scalar_one())
