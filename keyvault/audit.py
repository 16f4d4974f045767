"""The audit log: who changed what, by which command, chained, written in the transaction of the change.

Each row's digest is SHA-256 over the previous digest and the row's canonical JSON, so that an edited, removed or
reordered row shows; a cut tail does not show without an anchor kept elsewhere (`keyvault.journal`). Who can open the
vault puts a MAC on the digest, so that a chain made anew shows too. Details never contain a secret.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from keyvault import actor as process
from keyvault.clock import Clock, from_ms
from keyvault.secrets import scrub
from keyvault.storage import audit as rows
from keyvault.storage.engine import Transaction

CHAINED: Final = ("seq", "at_ms", "actor", "action", "scope", "detail")
_LATEST: Final = datetime.max.replace(microsecond=999_000, tzinfo=UTC)
BEGIN: Final = bytes(32)
"""What the first entry is chained to."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the log."""

    seq: int
    at: datetime
    actor: str
    command: str
    action: str
    """`noun.verb`."""
    scope: str
    """What it applied to, such as `key:ci-bot`."""
    detail: Mapping[str, Any]
    digest: bytes
    sealed: bool
    """Whether somebody who could open the vault has put a MAC on it."""


def record(tx: Transaction, clock: Clock, action: str, scope: str, **detail: Any) -> None:
    """Append one entry. `action` is `noun.verb`, `scope` what it applied to, such as `key:ci-bot`."""
    sequence, previous = rows.last(tx)
    row = {
        "seq": sequence + 1,
        "at_ms": clock.now_ms(),
        "actor": actor(),
        "action": action,
        "scope": scope,
        "detail": json.dumps(_harmless(detail), sort_keys=True, separators=(",", ":")),
        "command": scrub(rows.command_of(tx)),
    }
    rows.insert(tx, {**row, "previous": previous, "digest": digest(previous, row)})


def verify(tx: Transaction) -> int | None:
    """The sequence number of the first row that does not follow from the one before it; None when all do."""
    return first_broken(rows.after(tx, 0), 0, BEGIN)


def first_broken(stored: Iterable[Mapping[str, Any]], seq: int, previous: bytes) -> int | None:
    """The first of some rows, oldest first, that does not follow from the one before it, the first of them from
    `seq` and its digest."""
    for row in stored:
        seq += 1
        if row["seq"] != seq or bytes(row["previous"]) != previous or bytes(row["digest"]) != digest(previous, row):
            return int(row["seq"])
        previous = bytes(row["digest"])
    return None


def digest(previous: bytes, row: Mapping[str, Any]) -> bytes:
    """What chains a row to the one before it. Rows from before commands were recorded have none to be chained."""
    chained = {name: row[name] for name in (*CHAINED, *(["command"] if row["command"] else []))}
    canonical = json.dumps(chained, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(previous + canonical).digest()


def entry(row: Mapping[str, Any]) -> Entry:
    """A row as a value; a detail that was made unreadable is shown as it is, a time that cannot be as the last there
    is: to `verify` they are not what was written."""
    try:
        detail = json.loads(row["detail"])
    except (ValueError, TypeError, RecursionError):
        detail = None
    if not isinstance(detail, dict):
        detail = {"unreadable": str(row["detail"])}
    return Entry(
        seq=row["seq"],
        at=_moment(row["at_ms"]),
        actor=str(row["actor"]),
        command=str(row["command"]),
        action=str(row["action"]),
        scope=str(row["scope"]),
        detail=detail,
        digest=bytes(row["digest"]),
        sealed=row["mac"] is not None,
    )


def newest(tx: Transaction, limit: int) -> list[Entry]:
    """The newest entries, newest first."""
    return [entry(row) for row in rows.newest(tx, limit)]


def entries(tx: Transaction, after: int = 0) -> Iterator[Entry]:
    """The entries behind one, oldest first."""
    return map(entry, rows.after(tx, after))


def _moment(ms: Any) -> datetime:
    try:
        return from_ms(ms)
    except (OverflowError, TypeError):
        return _LATEST


@functools.cache
def actor() -> str:
    """Who runs this process; it does not change while it runs."""
    return process.actor()


def _harmless(value: Any) -> Any:
    """A detail without anything shaped like a secret."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return {name: _harmless(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_harmless(inner) for inner in value]
    return value
