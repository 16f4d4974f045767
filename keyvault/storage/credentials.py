"""The credentials table: which secrets an upstream has, each in which state. The secrets are sealed records."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from keyvault.clock import from_ms, to_ms
from keyvault.domain.vault import Credential, CredentialState
from keyvault.storage.compiled import Prepared
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import credentials, upstreams
from keyvault.storage.seals import added, touch

_BY_ID: Final = sa.select(credentials).order_by(credentials.c.id)
_OVER: Final = (credentials.c.state == CredentialState.PREVIOUS.value) & (
    credentials.c.until_ms <= sa.bindparam("now_ms", type_=sa.BigInteger)
)
_ANY_OVER: Final = Prepared(sa.select(credentials.c.id).where(_OVER).limit(sa.literal_column("1")))


def insert(
    tx: Transaction,
    upstream_id: int,
    label: str,
    state: CredentialState,
    record_id: str,
    now: datetime,
    *,
    weight: int = 1,
) -> Credential:
    values = {
        "upstream_id": upstream_id,
        "label": label,
        "state": state.value,
        "weight": weight,
        "record_id": record_id,
        "created_ms": to_ms(now),
        "changed_ms": to_ms(now),
    }
    credential_id = tx.execute(sa.insert(credentials).values(values).returning(credentials.c.id)).scalar_one()
    added(tx, "credentials", credential_id)
    return get(tx, credential_id)


def get(tx: Transaction, credential_id: int) -> Credential:
    return _credential(tx.execute(_BY_ID.where(credentials.c.id == credential_id)).one())


def of_upstream(tx: Transaction, upstream_id: int) -> list[Credential]:
    """All credentials of an upstream, retired ones too, oldest first."""
    return [_credential(row) for row in tx.execute(_BY_ID.where(credentials.c.upstream_id == upstream_id))]


def by_upstream(tx: Transaction) -> dict[int, list[Credential]]:
    """All credentials of all upstreams by the upstream's id, oldest first."""
    found: dict[int, list[Credential]] = {}
    for row in tx.execute(_BY_ID):
        found.setdefault(row.upstream_id, []).append(_credential(row))
    return found


def over(tx: Transaction, now: datetime) -> list[Credential]:
    """Previous credentials whose overlap is over."""
    return [_credential(row) for row in tx.execute(_BY_ID.where(_OVER), {"now_ms": to_ms(now)})]


def any_over(tx: Transaction, now: datetime) -> bool:
    """Whether there are such; asked every few seconds, and nearly always there are none."""
    return _ANY_OVER.first(tx, {"now_ms": to_ms(now)}) is not None


def upstream_of_record(tx: Transaction, record_id: str) -> tuple[str, str] | None:
    """Provider and base URL of the upstream whose credential a sealed record is."""
    query = (
        sa.select(upstreams.c.provider, upstreams.c.base_url)
        .join(credentials, credentials.c.upstream_id == upstreams.c.id)
        .where(credentials.c.record_id == record_id)
    )
    row = tx.execute(query).first()
    return None if row is None else (row.provider, row.base_url)


def set_state(
    tx: Transaction, credential_id: int, state: CredentialState, now: datetime, *, until: datetime | None = None
) -> None:
    """Let a credential get into a state; only a previous one has an end."""
    changes = {"state": state.value, "changed_ms": to_ms(now), "until_ms": None if until is None else to_ms(until)}
    _change(tx, credential_id, changes)


def set_weight(tx: Transaction, credential_id: int, weight: int) -> None:
    _change(tx, credential_id, {"weight": weight})


def set_tested(tx: Transaction, credential_id: int, at: datetime, note: str) -> None:
    _note(tx, credential_id, {"tested_ms": to_ms(at), "test_note": note})


def set_aside(tx: Transaction, credential_id: int, at: datetime | None, note: str) -> bool:
    """Let a credential step aside, or come back with None; whether that changed anything."""
    stands = credentials.c.aside_ms.is_(None)
    query = sa.update(credentials).where((credentials.c.id == credential_id) & (stands if at else ~stands))
    return tx.execute(query.values(aside_ms=None if at is None else to_ms(at), aside_note=note)).rowcount > 0


def delete(tx: Transaction, *credential_ids: int) -> None:
    touch(tx, "credentials", *credential_ids)
    tx.execute(sa.delete(credentials).where(credentials.c.id.in_(credential_ids)))


def _change(tx: Transaction, credential_id: int, values: dict[str, Any]) -> None:
    touch(tx, "credentials", credential_id)
    _note(tx, credential_id, values)


def _note(tx: Transaction, credential_id: int, values: dict[str, Any]) -> None:
    """Write what nobody vouches for: it tells people something and decides nothing."""
    tx.execute(sa.update(credentials).where(credentials.c.id == credential_id).values(values))


def _credential(row: Any) -> Credential:
    return Credential(
        id=row.id,
        upstream_id=row.upstream_id,
        label=row.label,
        state=_state(row.state),
        weight=row.weight,
        record_id=row.record_id,
        created_at=from_ms(row.created_ms),
        changed_at=from_ms(row.changed_ms),
        until=_time(row.until_ms),
        tested_at=_time(row.tested_ms),
        test_note=row.test_note,
        aside_at=_time(row.aside_ms),
        aside_note=row.aside_note,
    )


def _state(text: str) -> CredentialState:
    """A word nobody wrote means that somebody else did: such a credential can be shown and deleted, never used."""
    return CredentialState(text) if text in set(CredentialState) else CredentialState.RETIRED


def _time(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)
