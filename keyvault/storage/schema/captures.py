"""Captures: which requests are sampled in full, for how long, and by which sealed key they can be read."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, SmallInteger, Table, Text

from keyvault.storage.schema.columns import Id, Ms, count, metadata, row_id, vouched

captures = Table(
    "captures",
    metadata,
    row_id(),
    Column("scope_kind", Text, nullable=False),
    Column("scope_id", Id, nullable=False),
    Column("sample_ppm", BigInteger, nullable=False),
    Column("plan", Text, nullable=False),
    Column("record_id", Text, nullable=False, unique=True),
    Column("created_ms", Ms, nullable=False),
    Column("until_ms", Ms, nullable=False),
    Column("ended", SmallInteger, nullable=False, server_default="0"),
    Column("ended_ms", Ms),
    Column("reason", Text),
    count("taken"),
    count("dropped"),
    count("bytes"),
    *vouched(),
    sqlite_autoincrement=True,
)
"""`scope_kind`: as of a budget, or `all`, whose id is 0. `plan`: bounds, redactions and how long it is kept, as JSON.
`record_id`: the sealed record of the key that opens what was captured; both go when a capture is deleted. `reason`: why
it ended. `taken`, `dropped`, `bytes`: how much there is so far, and how much there was no room or time for."""

uncaptured = Table(
    "uncaptured",
    metadata,
    row_id(),
    Column("customer_id", Id, nullable=False, unique=True),
    Column("created_ms", Ms, nullable=False),
    *vouched(),
)
"""Customers of whom nothing is ever captured."""
