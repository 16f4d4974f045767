"""The upstreams table: what may be shown of each provider account. Its credentials are in `storage.credentials`."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from keyvault.clock import from_ms, to_ms
from keyvault.domain.endpoints import Dialect
from keyvault.domain.names import fold
from keyvault.domain.vault import Upstream
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import upstreams
from keyvault.storage.seals import added, touch


def insert(tx: Transaction, upstream: Upstream) -> Upstream:
    """Store an upstream; its `id` is ignored, the database gives one."""
    values = {
        "name": upstream.name,
        "folded": fold(upstream.name),
        "provider": upstream.provider,
        "base_url": upstream.base_url,
        "dialects": ",".join(sorted(upstream.dialects)),
        "auth_header": upstream.auth_header,
        "auth_scheme": upstream.auth_scheme,
        "stream_usage": int(upstream.stream_usage),
        "catalogue": upstream.catalogue,
        "extra_headers": json.dumps(upstream.extra_headers, sort_keys=True),
        "disabled": int(upstream.disabled),
        "allow_private": int(upstream.allow_private),
        "ca_file": upstream.ca_file,
        "created_ms": to_ms(upstream.created_at),
    }
    upstream_id = tx.execute(sa.insert(upstreams).values(values).returning(upstreams.c.id)).scalar_one()
    added(tx, "upstreams", upstream_id)
    return replace(upstream, id=upstream_id)


def all_upstreams(tx: Transaction) -> list[Upstream]:
    """All upstreams, by name."""
    return [_upstream(row) for row in tx.execute(sa.select(upstreams).order_by(upstreams.c.folded))]


def get(tx: Transaction, upstream_id: int) -> Upstream:
    return _upstream(tx.execute(sa.select(upstreams).where(upstreams.c.id == upstream_id)).one())


def find(tx: Transaction, name: str) -> Upstream | None:
    """An upstream by name, without regard to case."""
    row = tx.execute(sa.select(upstreams).where(upstreams.c.folded == fold(name))).first()
    return None if row is None else _upstream(row)


def set_disabled(tx: Transaction, upstream_id: int, disabled: bool) -> None:
    touch(tx, "upstreams", upstream_id)
    tx.execute(sa.update(upstreams).where(upstreams.c.id == upstream_id).values(disabled=int(disabled)))


def set_verified(tx: Transaction, upstream_id: int, at: datetime, note: str) -> None:
    values = {"verified_ms": to_ms(at), "verified_note": note}
    tx.execute(sa.update(upstreams).where(upstreams.c.id == upstream_id).values(values))


def delete(tx: Transaction, upstream_id: int) -> None:
    """Delete an upstream that has no credentials any more."""
    touch(tx, "upstreams", upstream_id)
    tx.execute(sa.delete(upstreams).where(upstreams.c.id == upstream_id))


def _upstream(row: Any) -> Upstream:
    return Upstream(
        id=row.id,
        name=row.name,
        provider=row.provider,
        base_url=row.base_url,
        dialects=_dialects(row.dialects),
        auth_header=row.auth_header,
        auth_scheme=row.auth_scheme,
        stream_usage=bool(row.stream_usage),
        catalogue=row.catalogue,
        created_at=from_ms(row.created_ms),
        disabled=bool(row.disabled),
        allow_private=bool(row.allow_private),
        ca_file=row.ca_file,
        has_secret=bool(row.auth_header),
        verified_at=None if row.verified_ms is None else from_ms(row.verified_ms),
        verified_note=row.verified_note,
        extra_headers=_headers(row.extra_headers),
    )


def _dialects(text: str) -> frozenset[Dialect]:
    """What cannot be understood is left out: the row can still be shown and deleted, and no longer equals its seal."""
    known = {dialect.value for dialect in Dialect}
    return frozenset(Dialect(name) for name in text.split(",") if name in known)


def _headers(text: str) -> dict[str, str]:
    try:
        written = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return written if isinstance(written, dict) else {}
