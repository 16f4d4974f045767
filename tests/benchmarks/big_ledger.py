"""A big ledger, made quickly, and what reading it costs: `python -m tests.benchmarks.big_ledger --rows 10000000`.

Rows are made by SQLite itself, spread evenly over the last days; a few keys make most of the traffic, some are for
tests, and every tenth key names who pays for each request. Totals are summed from the rows, so the ledger is as
consistent as a real one. The figures are printed as a table and, last, as JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from keyvault.clock import Clock
from keyvault.domain.latencies import LATENCY_BOUNDS_MS
from keyvault.metering.interning import name_id
from keyvault.metering.reports import Reports
from keyvault.storage import migrations
from keyvault.storage.engine import BUSY_TIMEOUT_MS, Database, configure_sqlite, sqlite_module
from keyvault.storage.schema import SUMS, attempts

MODELS = ("gpt-5", "gpt-5-mini", "claude-sonnet-5", "text-embedding-3-small", "llama-4")
KEYS = 60
DAY_MS = 86_400_000

# `r` is a repeatable stir of the row's number: Knuth's multiplicative hash.
_ROWS: Final = """
WITH RECURSIVE n(i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?),
made AS (SELECT i, (i * 2654435761) % 4294967296 AS r, ? + CAST(i * ? AS INTEGER) AS ms FROM n)
INSERT INTO attempts ({columns})
SELECT {ulid}, 1, ms, 1 + (r % 60) * (r / 61 % 60) / 60, 1, a.id, a.target,
       'chat', r % 2,
       CASE WHEN r % 97 = 0 THEN 2 ELSE 1 END, 1, CASE WHEN r % 97 = 0 THEN 500 ELSE 200 END, 1,
       200 + r % 3000, r % 200, NULL, NULL, 20 + r % 500, NULL, NULL, NULL, NULL, 1,
       100000 + r % 100000000, 110000 + r % 100000000, 900000000, 30 + r % 2000, 100 + r % 20000, NULL, NULL, NULL,
       CASE WHEN (r % 60) * (r / 61 % 60) / 60 % 10 = 0 THEN r / 13 % 6 ELSE 0 END, NULL, NULL, 0, NULL
FROM made JOIN names a ON a.i = (made.r / 7 % 25) * (made.r / 11 % 6) / 30
"""


_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_DIGITS: Final = (f"substr('{_ALPHABET}', ((ms >> {5 * place}) & 31) + 1, 1)" for place in reversed(range(10)))
_ULID: Final = f"{' || '.join(_DIGITS)} || printf('%016d', made.i)"


def make(path: Path, rows: int, days: int, now_ms: int) -> Database:
    """A SQLite ledger of so many rows over the last so many days."""
    database = Database(f"sqlite:///{path}")
    migrations.upgrade(database)
    connection = sqlite_module().connect(str(path), isolation_level=None)
    configure_sqlite(connection, "process", BUSY_TIMEOUT_MS)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA cache_size=-200000")
    _people(connection)
    columns = ", ".join(column.name for column in attempts.columns)
    first, step = now_ms - days * DAY_MS, days * DAY_MS / rows
    for start in range(0, rows, 500_000):
        connection.execute("BEGIN")
        connection.execute(_ROWS.format(ulid=_ULID, columns=columns), (start, min(rows, start + 500_000), first, step))
        connection.execute("COMMIT")
    for table, ms in (("totals_minute", 60_000), ("totals_quarter", 900_000), ("totals_day", DAY_MS)):
        kept = now_ms - 8 * DAY_MS if table == "totals_minute" else 0
        connection.execute(_totals(table, ms), (kept,))
    connection.execute("ANALYZE")
    connection.close()
    return database


def _people(connection: Any) -> None:
    connection.execute("CREATE TEMP TABLE names (i INTEGER, id INTEGER, target INTEGER)")
    for i, model in enumerate(MODELS):
        alias, target = name_id(model), name_id(("openai", model))
        connection.execute("INSERT INTO aliases VALUES (?, ?)", (alias, model))
        connection.execute("INSERT INTO targets VALUES (?, 'openai', ?)", (target, model))
        connection.execute("INSERT INTO names VALUES (?, ?, ?)", (i, alias, target))
    for n in range(1, 6):
        name = f"customer-{n}"
        connection.execute("INSERT INTO customers (id, name, folded, created_ms) VALUES (?, ?, ?, 0)", (n, name, name))
        values = (n, n, "web", "web")
        connection.execute(
            "INSERT INTO projects (id, customer_id, name, folded, created_ms) VALUES (?,?,?,?,0)", values
        )
    for n in range(1, KEYS + 1):
        connection.execute(
            "INSERT INTO keys (id, public_id, name, folded, project_id, env, state, policy, created_ms, epoch)"
            " VALUES (?, ?, ?, ?, ?, ?, 'active', '{}', 0, 0)",
            (n, f"p{n}", f"key-{n}", f"key-{n}", 1 + n % 5, "test" if n % 20 == 0 else "live"),
        )


def _totals(table: str, ms: int) -> str:
    free = "(cost_pico IS 0 AND input IS 0 AND output IS 0)"
    plain = {
        "requests": "sum(final)",
        "attempts": "count(*)",
        "errors": "sum(final AND outcome IN (2, 4))",
        "failures": "sum(outcome IN (2, 4))",
        "unknown_cost": "sum(cost_pico IS NULL)",
        "free": f"sum({free})",
        "cache_write": "0",
        **{
            f"basis_{name}": f"sum(basis = {n} AND NOT {free})"
            for n, name in enumerate(("unknown", "provider", "tokenizer", "estimate"))
        },
    }
    edges = (-1, *LATENCY_BOUNDS_MS, 2**62)
    for prefix, column, extra in (("first", "first_content_ms", ""), ("total", "total_ms", "outcome = 1 AND ")):
        for n, (low, high) in enumerate(pairwise(edges)):
            plain[f"{prefix}_{n}"] = f"coalesce(sum({extra}{column} >= {low} AND {column} < {high}), 0)"
    sums = ", ".join(plain.get(name, f"coalesce(sum({name}), 0)") for name in SUMS)
    ids = "key_id, alias_id, target_id, project_id"
    return (
        f"INSERT INTO {table} (bucket, {ids}, {', '.join(SUMS)})"
        f" SELECT started_ms / {ms} AS bucket, {ids}, {sums} FROM attempts WHERE started_ms >= ? GROUP BY bucket, {ids}"
    )


def measure(work: Callable[[], object], times: int = 7) -> dict[str, float]:
    """Milliseconds of the first and of the middle run."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) * 1000)
    return {"first_ms": round(took[0], 1), "median_ms": round(statistics.median(took[1:]), 1)}


def figures(database: Database, clock: Clock) -> dict[str, dict[str, float]]:
    """What reading the ledger costs, by question."""
    reports, now = Reports(database, clock), clock.now()

    def usage(days: int, *by: str, tz: str = "UTC") -> Callable[[], object]:
        return lambda: reports.usage(now - timedelta(days=days), now, by, tz)

    live = Reports(database, clock)
    return {
        "usage 30d by key,model": measure(usage(30, "key", "model")),
        "usage 30d, one sum": measure(usage(30)),
        "usage 30d by customer,project": measure(usage(30, "customer", "project")),
        "usage 30d by day": measure(usage(30, "day")),
        "usage 30d by day, Europe/Berlin": measure(usage(30, "day", tz="Europe/Berlin")),
        "usage 30d by day,key": measure(usage(30, "day", "key")),
        "usage 24h by key,model": measure(usage(1, "key", "model")),
        "usage 24h by hour": measure(usage(1, "hour")),
        "tail of 20": measure(lambda: reports.tail(20)),
        "change": measure(reports.change),
        **{
            f"live {label}": measure(lambda window=window: live.live(window), 12)  # type: ignore[misc]
            for label, window in (
                ("15m", timedelta(minutes=15)),
                ("1h", timedelta(hours=1)),
                ("24h", timedelta(days=1)),
                ("7d", timedelta(days=7)),
                ("30d", timedelta(days=30)),
            )
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Make a big ledger and time what is read from it.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--directory", type=Path, help="keep the ledger here; a temporary directory by default")
    asked = parser.parse_args()
    clock = Clock()
    with tempfile.TemporaryDirectory() as temporary:
        path = (asked.directory or Path(temporary)) / "gateway.db"
        began = time.perf_counter()
        database = make(path, asked.rows, asked.days, clock.now_ms())
        made = time.perf_counter() - began
        print(f"{asked.rows:,} rows in {made:.0f} s, {path.stat().st_size / 1e6:,.0f} MB")
        found = figures(database, clock)
        for name, took in found.items():
            print(f"{name:34} {took['first_ms']:9.1f} ms first {took['median_ms']:9.1f} ms then")
        print(json.dumps({"rows": asked.rows, "days": asked.days, "seconds_to_make": round(made), "figures": found}))
        database.close()


if __name__ == "__main__":
    main()
