"""Rows that matter without being secret: what counts in each, its version, and the seal somebody put on it.

Nothing here knows a key. A repository calls `touch` before it changes such a row; at the end of the transaction the
database's sealer, where there is one, checks what the row was and seals what it became (`keyvault.vault.seals`). A row
that takes access away needs no seal: revoking and suspending work while the vault is locked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

import sqlalchemy as sa

from keyvault.domain.keys import KeyState
from keyvault.errors import Tampered
from keyvault.storage.engine import Transaction, touched_rows
from keyvault.storage.schema import (
    adjustments,
    balances,
    budgets,
    captures,
    credentials,
    customers,
    gateway,
    key_generations,
    keys,
    limits,
    prices,
    projects,
    repricings,
    revisions,
    rollouts,
    statements,
    uncaptured,
    unsealed,
    upstreams,
)

IN_ORDER: Final = 500
"""Rows read by one statement."""


@dataclass(frozen=True, slots=True)
class Vouched:
    """How one table's rows are vouched for."""

    table: sa.Table
    counts: tuple[str, ...]
    """The columns whose change must not go unseen."""
    identity: str = "id"
    switch: str | None = None
    """The column that may take access away, from its most open value on."""
    steps: tuple[Any, ...] = ()
    """The values of the switch: the first gives access, every other denies it."""
    parts: tuple[sa.Table, str, tuple[str, ...]] | None = None
    """A table of rows below each row, its reference to it, and what counts there, ordered by the first."""


_KEY_STEPS = (KeyState.ACTIVE, KeyState.SUSPENDED, KeyState.DELETED, KeyState.REVOKED)

VOUCHED: Final[Mapping[str, Vouched]] = {
    "customers": Vouched(
        customers, ("name", "folded", "multiplier_ppm", "suspended"), switch="suspended", steps=(0, 1)
    ),
    "projects": Vouched(projects, ("customer_id", "name", "folded", "suspended"), switch="suspended", steps=(0, 1)),
    "keys": Vouched(
        keys,
        ("public_id", "name", "folded", "project_id", "env", "state", "policy", "tags", "expires_ms"),
        switch="state",
        steps=tuple(state.value for state in _KEY_STEPS),
        parts=(
            key_generations,
            "key_id",
            ("number", "mac", "pepper_version", "state", "valid_until_ms", "grace_ms", "adopted"),
        ),
    ),
    "gateway": Vouched(gateway, ("suspended",), switch="suspended", steps=(0, 1)),
    "upstreams": Vouched(
        upstreams,
        ("name", "folded", "provider", "base_url", "stream_usage", "catalogue", "disabled"),
        switch="disabled",
        steps=(0, 1),
    ),
    "credentials": Vouched(
        credentials,
        ("upstream_id", "label", "state", "weight", "record_id", "until_ms"),
    ),
    "revisions": Vouched(revisions, ("created_ms", "snapshot"), identity="number"),
    "budgets": Vouched(
        budgets, ("scope_kind", "scope_id", "model", "env", "period", "zone", "amount_pico", "hard", "thresholds")
    ),
    "limits": Vouched(limits, ("scope_kind", "scope_id", "model", "rpm", "tpm", "parallel")),
    "balances": Vouched(
        balances, ("scope_kind", "scope_id", "env", "funded_pico", "entries", "head", "released_pico", "low_pico")
    ),
    "statements": Vouched(
        statements,
        ("number", "kind", "customer_id", "month", "zone", "credits", "amount_cents", "digest", "created_ms"),
    ),
    "repricings": Vouched(
        repricings, ("first_ms", "last_ms", "model", "upstream", "price_id", "multipliers", "left_out")
    ),
    "adjustments": Vouched(
        adjustments,
        ("customer_id", "project", "model", "amount_pico", "reason", "corrects_ms", "statement", "created_ms"),
    ),
    "captures": Vouched(
        captures,
        ("scope_kind", "scope_id", "sample_ppm", "plan", "record_id", "created_ms", "until_ms", "ended"),
        switch="ended",
        steps=(0, 1),
    ),
    "uncaptured": Vouched(uncaptured, ("customer_id",)),
    "rollouts": Vouched(
        rollouts,
        ("alias", "upstream", "model", "plan", "salt", "created_ms", "state"),
        switch="state",
        steps=("running", "paused", "finished", "rolled_back"),
    ),
    "prices": Vouched(prices, ("upstream", "catalogue", "model", "match", "rates", "from_ms", "source", "recorded_ms")),
}
"""By table name. Last-used times, notes and epochs are left out: they change by themselves and decide nothing."""


@dataclass(frozen=True, slots=True)
class SealedRow:
    """What counts in one row, as it is stored."""

    name: str
    """The table's."""
    id: int
    version: int
    fields: tuple[tuple[str, Any], ...]
    """Column → value, in the order of `Vouched.counts`, then a tuple of tuples for the rows below it."""
    seal: bytes | None

    @property
    def denies(self) -> bool:
        """Whether it takes access away, so that nobody needs to vouch for it."""
        return self._step in VOUCHED[self.name].steps[1:]

    def opener(self) -> Iterator[SealedRow]:
        """The same row as it may have been before it took access away, most open first. Empty unless it `denies`."""
        vouched = VOUCHED[self.name]
        for step in vouched.steps[: vouched.steps.index(self._step)] if self.denies else ():
            fields = tuple((n, step if n == vouched.switch else v) for n, v in self.fields)
            yield replace(self, fields=fields)

    @property
    def _step(self) -> Any:
        return dict(self.fields).get(VOUCHED[self.name].switch or "")


def touch(tx: Transaction, name: str, *ids: int) -> None:
    """Say that rows of a table are about to change. Call it before they do; costs nothing where nobody seals."""
    touched = touched_rows(tx)
    if touched is None:
        return
    missing = [row_id for row_id in ids if (name, row_id) not in touched]
    for row in read(tx, name, missing, held=True) if missing else ():
        touched[name, row.id] = row


def added(tx: Transaction, name: str, *ids: int) -> None:
    """Say that rows were added to a table in this transaction, before anything is put below them. Raises `Tampered`
    where something lies below one already: somebody waited for its id."""
    touched = touched_rows(tx)
    if touched is not None:
        if below := _parts(tx, VOUCHED[name], ids, held=False):
            raise Tampered(f"something else than gwctl put rows below {name} {min(below)}", hint="gwctl doctor")
        for row_id in ids:
            touched.setdefault((name, row_id), None)  # its id may be that of a row deleted just before


def each(tx: Transaction, name: str, ids: Collection[int] | None = None) -> Iterator[SealedRow]:
    """The same as `read`, some rows at a time: a price book has thousands. One snapshot is needed."""
    if ids is None:
        ids = tx.execute(_ids_of(name)).scalars().all()
    ordered = sorted(ids)
    for at in range(0, len(ordered), IN_ORDER):
        yield from _read(tx, VOUCHED[name], ordered[at : at + IN_ORDER], held=False)


def read(tx: Transaction, name: str, ids: Collection[int] | None = None, *, held: bool = False) -> list[SealedRow]:
    """What counts in some rows of a table, or in all of them, by id. With `held` nobody else can change them, or add
    rows below them, before the transaction ends: on PostgreSQL by locks, on SQLite there is one writer anyway."""
    if ids is None:
        return _read(tx, VOUCHED[name], None, held)
    ordered = sorted(ids)
    chunks = [ordered[i : i + IN_ORDER] for i in range(0, len(ordered), IN_ORDER)]
    return [row for chunk in chunks for row in _read(tx, VOUCHED[name], chunk, held)]


def write(tx: Transaction, rows: Iterable[SealedRow]) -> None:
    """Store the version and the seal of each row, and take it off the list of unsealed ones."""
    by_table: dict[str, list[SealedRow]] = {}
    for row in rows:
        by_table.setdefault(row.name, []).append(row)
    listed = set(unsealed_rows(tx)) if by_table else set()
    for name, sealed in by_table.items():
        table, identity = VOUCHED[name].table, VOUCHED[name].table.c[VOUCHED[name].identity]
        update = sa.update(table).where(identity == sa.bindparam("of"))
        values: dict[str, Any] = {"version": sa.bindparam("to_version"), "seal": sa.bindparam("to_seal")}
        tx.execute(update.values(values), [{"of": r.id, "to_version": r.version, "to_seal": r.seal} for r in sealed])
        forget_unsealed(tx, name, [row.id for row in sealed if (name, row.id) in listed])


def forget_unsealed(tx: Transaction, name: str, ids: Iterable[int]) -> None:
    for row_id in ids:
        tx.execute(sa.delete(unsealed).where((unsealed.c.name == name) & (unsealed.c.row_id == row_id)))


def seals(tx: Transaction) -> dict[str, dict[int, bytes]]:
    """Table name → id → seal of every row that is vouched for; nothing for a row without one."""
    found = {}
    for name in VOUCHED:
        found[name] = {row[0]: bytes(row[1] or b"") for row in tx.execute(_seals_of(name))}
    return found


def note_unsealed(tx: Transaction, name: str, row_id: int) -> None:
    """Remember a row that denies access and could not be sealed, for whoever opens the vault next."""
    one = (unsealed.c.name == name) & (unsealed.c.row_id == row_id)
    if tx.execute(sa.select(unsealed.c.row_id).where(one)).first() is None:
        tx.execute(sa.insert(unsealed).values(name=name, row_id=row_id))


def unsealed_rows(tx: Transaction) -> list[tuple[str, int]]:
    rows = tx.execute(sa.select(unsealed.c.name, unsealed.c.row_id).order_by(unsealed.c.name, unsealed.c.row_id))
    return [(row[0], row[1]) for row in rows if row[0] in VOUCHED]


def _read(tx: Transaction, vouched: Vouched, ids: Sequence[int] | None, held: bool) -> list[SealedRow]:
    table = vouched.table
    # First the rows, then what is below them: nothing can be put below a row that is locked.
    rows = tx.execute(_rows_of(table.name, ids is not None, held), {"ids": ids}).all()
    parts = _parts(tx, vouched, ids, held)
    found: list[SealedRow] = []
    for row in rows:
        row_id, version, seal = row[:3]
        fields = list(zip(vouched.counts, row[3:], strict=True))
        if vouched.parts is not None:
            fields.append((vouched.parts[0].name, tuple(parts.get(row_id, ()))))
        found.append(SealedRow(table.name, row_id, version, tuple(fields), None if seal is None else bytes(seal)))
    return found


def _parts(
    tx: Transaction, vouched: Vouched, ids: Sequence[int] | None, held: bool
) -> dict[int, list[tuple[Any, ...]]]:
    if vouched.parts is None:
        return {}
    found: dict[int, list[tuple[Any, ...]]] = {}
    for row in tx.execute(_parts_of(vouched.table.name, ids is not None, held), {"ids": ids}):
        found.setdefault(row[0], []).append(tuple(bytes(v) if isinstance(v, memoryview) else v for v in row[1:]))
    return found


# The statements are always the same, and a worker looks at every row each minute: each is built once.


@cache
def _ids_of(name: str) -> sa.Select[Any]:
    return sa.select(VOUCHED[name].table.c[VOUCHED[name].identity])


@cache
def _seals_of(name: str) -> sa.Select[Any]:
    return sa.select(VOUCHED[name].table.c[VOUCHED[name].identity], VOUCHED[name].table.c.seal)


@cache
def _rows_of(name: str, some: bool, held: bool) -> sa.Select[Any]:
    vouched = VOUCHED[name]
    columns, identity = vouched.table.c, vouched.table.c[vouched.identity]
    counts = [columns[each] for each in vouched.counts]
    query = sa.select(identity.label("row_id"), columns.version, columns.seal, *counts).order_by(identity)
    return _limited(query, identity, some, held)


@cache
def _parts_of(name: str, some: bool, held: bool) -> sa.Select[Any]:
    parts = VOUCHED[name].parts
    assert parts is not None
    table, reference, counts = parts
    of = table.c[reference]
    query = sa.select(of, *(table.c[each] for each in counts)).order_by(of, table.c[counts[0]])
    return _limited(query, of, some, held)


def _limited(query: sa.Select[Any], column: sa.Column[Any], some: bool, held: bool) -> sa.Select[Any]:
    """`some`: the rows of `ids` alone; `held`: locked."""
    if some:
        query = query.where(column.in_(sa.bindparam("ids", expanding=True)))
    return query.with_for_update() if held else query
