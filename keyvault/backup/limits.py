"""Rate limits that were set after a backup: they hold again after a restore, never looser than what the backup has."""

from __future__ import annotations

from dataclasses import replace

from keyvault.audit import Entry
from keyvault.clock import to_ms
from keyvault.domain.limits import KINDS, Limit
from keyvault.domain.scopes import parse_scope
from keyvault.errors import NotFound
from keyvault.storage import limits, scopes
from keyvault.storage.engine import Transaction


def limited_again(tx: Transaction, entry: Entry) -> bool:
    """Set what an entry `limits.set` says, each number where it is lower. False where it says none, or where its scope
    is not there."""
    if all(entry.detail.get(kind) is None for kind in KINDS):
        return False
    try:
        scope = scopes.find(tx, parse_scope(entry.scope))
    except NotFound:
        return False
    model = str(entry.detail.get("model") or "")
    was = limits.find(tx, scope, model) or Limit(0, scope, model, None, None, None)
    rpm, tpm, parallel = (_lower(getattr(was, kind), entry.detail.get(kind)) for kind in KINDS)
    limit = replace(was, rpm=rpm, tpm=tpm, parallel=parallel)
    if was.limits and limit != was:
        limits.update(tx, limit)
    elif limit != was:
        limits.insert(tx, limit, to_ms(entry.at))
    return True


def _lower(one: int | None, other: object) -> int | None:
    known = [number for number in (one, other) if isinstance(number, int)]
    return min(known, default=None)
