"""The ledger: attempts, open and settled, the names they refer to, and their totals."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, SmallInteger, Table, Text, UniqueConstraint

from keyvault.domain.latencies import LATENCY_BOUNDS_MS
from keyvault.storage.schema.columns import Id, Ms, Pico, count, metadata, row_id

aliases = Table("aliases", metadata, row_id(), Column("name", Text, nullable=False, unique=True))

targets = Table(
    "targets",
    metadata,
    row_id(),
    Column("upstream", Text, nullable=False),
    Column("model", Text, nullable=False),
    UniqueConstraint("upstream", "model"),
)

open_attempts = Table(
    "open_attempts",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("number", SmallInteger, primary_key=True),
    Column("started_ms", Ms, nullable=False),
    Column("worker", Text, nullable=False),
    Column("key_id", Id, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("alias_id", Id, nullable=False),
    Column("target_id", Id, nullable=False),
    Column("dialect", Text, nullable=False),
    Column("stream", SmallInteger, nullable=False),
    Column("bound_pico", Pico),
    Column("multiplier_ppm", BigInteger, nullable=False),
    Column("project_id", Id, nullable=False, server_default="0"),
    Column("balance_id", Id),
    Column("hold_pico", Pico),
    Column("tags", Text),
    sqlite_with_rowid=False,
)
"""`project_id`: who pays, 0 where it is the key's own project. `hold_pico`: what was held for it, at the customer's
price; `balance_id`: the balance it was held on. `tags`: the request's own, as JSON."""

attempts = Table(
    "attempts",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("number", SmallInteger, primary_key=True),
    Column("started_ms", Ms, nullable=False),
    Column("key_id", Id, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("alias_id", Id, nullable=False),
    Column("target_id", Id, nullable=False),
    Column("dialect", Text, nullable=False),
    Column("stream", SmallInteger, nullable=False),
    Column("outcome", SmallInteger, nullable=False),
    Column("final", SmallInteger, nullable=False),
    Column("status", SmallInteger),
    Column("basis", SmallInteger, nullable=False),
    Column("input", BigInteger),
    Column("cached_input", BigInteger),
    Column("cache_write", BigInteger),
    Column("cache_write_1h", BigInteger),
    Column("output", BigInteger),
    Column("reasoning", BigInteger),
    Column("audio_input", BigInteger),
    Column("audio_output", BigInteger),
    Column("images", BigInteger),
    Column("price_id", Id),
    Column("cost_pico", Pico),
    Column("charge_pico", Pico),
    Column("bound_pico", Pico),
    Column("first_content_ms", Integer),
    Column("total_ms", Integer),
    Column("error_code", Text),
    Column("error_text", Text),
    Column("provider_request_id", Text),
    Column("project_id", Id, nullable=False, server_default="0"),
    Column("balance_id", Id),
    Column("hold_pico", Pico),
    Column("doubt_pico", Pico),
    Column("tags", Text),
    sqlite_with_rowid=False,
)
"""Immutable, but for `final`: recovery sets it on an attempt that turned out to be the last. Request ids sort by time,
so the primary key pages newest first and cuts by age without another index. `doubt_pico`: what nobody is charged for
and the provider may have taken all the same; counted against hard budgets and balances."""

SUMS: Final = (
    "requests",
    "attempts",
    "errors",
    "failures",
    "input",
    "cached_input",
    "cache_write",
    "output",
    "reasoning",
    "cost_pico",
    "charge_pico",
    "doubt_pico",
    "unknown_cost",
    "free",
    "basis_unknown",
    "basis_provider",
    "basis_tokenizer",
    "basis_estimate",
    *(f"first_{i}" for i in range(len(LATENCY_BOUNDS_MS) + 1)),
    *(f"total_{i}" for i in range(len(LATENCY_BOUNDS_MS) + 1)),
)
"""What totals add up. `first_i`: attempts whose first content came in bucket i; `total_i`: served attempts whose answer
ended in bucket i. The other sums are defined in `keyvault.domain.reports.Totals`."""


def _totals(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("bucket", Integer, primary_key=True),
        Column("key_id", Id, primary_key=True),
        Column("alias_id", Id, primary_key=True),
        Column("target_id", Id, primary_key=True),
        Column("project_id", Id, primary_key=True, server_default="0"),
        *(count(s) for s in SUMS),
        sqlite_with_rowid=False,
    )


totals_minute = _totals("totals_minute")
totals_quarter = _totals("totals_quarter")
totals_day = _totals("totals_day")
"""`bucket`: minutes, quarters of an hour, or UTC days, since the epoch. Minutes are kept for some days only; quarters
make any time zone's day exact; days make long reports quick. `project_id`: as in `open_attempts`."""

ledger_changes = Table(
    "ledger_changes",
    metadata,
    Column("worker", Text, primary_key=True),
    count("changes"),
    sqlite_with_rowid=False,
)
"""How many transactions each worker's ledger has committed; their sum tells readers whether anything is new."""
