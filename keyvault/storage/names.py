"""Names for shell completion, fast: read with the plain SQLite driver, without loading SQLAlchemy.

A completion must never fail or wait: what cannot be read now gives no names. Other databases give none.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

Kind = Literal["keys", "upstreams", "aliases", "customers", "projects"]

MOST_NAMES: Final = 500
_WAIT_SECONDS: Final = 0.05

_QUERIES: Final[dict[Kind, str]] = {
    "keys": "SELECT name FROM keys WHERE state NOT IN ('revoked', 'deleted') ORDER BY folded",
    "upstreams": "SELECT name FROM upstreams ORDER BY folded",
    "customers": "SELECT name FROM customers WHERE folded NOT LIKE ' %' ORDER BY folded",
    "projects": (
        "SELECT c.name || '/' || p.name FROM projects p JOIN customers c ON p.customer_id = c.id"
        " WHERE p.folded NOT LIKE ' %' ORDER BY c.folded, p.folded"
    ),
    "aliases": "SELECT snapshot FROM revisions ORDER BY number DESC LIMIT 1",
}


def complete(database_url: str, kind: Kind, prefix: str = "") -> list[str]:
    """Names of a kind that begin with `prefix`, without regard to case, sorted, at most `MOST_NAMES`."""
    if not database_url.startswith("sqlite:///"):
        return []
    wanted = prefix.casefold()
    found = [
        name
        for name in _names(Path(database_url.removeprefix("sqlite:///")), kind)
        if name.casefold().startswith(wanted)
    ]
    return found[:MOST_NAMES]


def _names(path: Path, kind: Kind) -> list[str]:
    try:
        with contextlib.closing(
            sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=_WAIT_SECONDS)
        ) as db:
            texts = [str(row[0]) for row in db.execute(_QUERIES[kind])]
    except sqlite3.Error:  # no database yet, busy, or of another version: nothing to complete
        return []
    if kind == "aliases":
        return [route["alias"] for text in texts for route in json.loads(text)["routes"]]
    return texts
