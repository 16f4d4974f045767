"""The audit log: who changed what, chained, written in the transaction of the change.

Each row's digest is SHA-256 over the previous digest and the row's canonical JSON, so that an edited, removed or
reordered row shows; a cut tail does not show without an anchor kept elsewhere. Details never contain a secret.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import socket
from typing import Any

from keyvault.clock import Clock
from keyvault.storage import audit as rows
from keyvault.storage.engine import Transaction


def record(tx: Transaction, clock: Clock, action: str, scope: str, **detail: Any) -> None:
    """Append one entry. `action` is `noun.verb`, `scope` what it applied to, such as `key:ci-bot`."""
    sequence, previous = rows.last(tx)
    row = {
        "seq": sequence + 1,
        "at_ms": clock.now_ms(),
        "actor": actor(),
        "action": action,
        "scope": scope,
        "detail": json.dumps(detail, sort_keys=True, separators=(",", ":")),
    }
    rows.insert(tx, {**row, "previous": previous, "digest": _digest(previous, row)})


def verify(tx: Transaction) -> int | None:
    """The sequence number of the first row that does not follow from the one before it; None when all do."""
    previous = bytes(32)
    for number, stored in enumerate(rows.oldest_first(tx), start=1):
        row = {name: stored[name] for name in ("seq", "at_ms", "actor", "action", "scope", "detail")}
        if stored["seq"] != number or bytes(stored["digest"]) != _digest(previous, row):
            return int(stored["seq"])
        previous = bytes(stored["digest"])
    return None


def actor() -> str:
    """`user@host`, with the terminal or `no-tty`, as far as the system tells."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(os.getuid())
    try:
        where = os.path.basename(os.ttyname(0))
    except OSError:
        where = "no-tty"
    return f"{user}@{socket.gethostname()} {where}"


def _digest(previous: bytes, row: dict[str, Any]) -> bytes:
    canonical = json.dumps(row, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(previous + canonical).digest()
