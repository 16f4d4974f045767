"""Captures: which requests are sampled in full, for how long, and by which sealed key they can be read."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Table, Text

from keyvault.storage.schema.columns import Id, Ms, metadata, row_id, vouched

captures = Table(
    "captures",
    metadata,
    row_id(),
    Column("scope_kind", Text, nullable=False),
    Column("scope_id", Id),
    Column("sample_ppm", BigInteger, nullable=False),
    Column("most", BigInteger, nullable=False),
    Column("plan", Text, nullable=False),
    Column("record_id", Text),
    Column("created_ms", Ms, nullable=False),
    Column("until_ms", Ms, nullable=False),
    Column("keep_until_ms", Ms, nullable=False),
    Column("ended_ms", Ms),
    Column("taken", BigInteger, nullable=False, server_default="0"),
    Column("bytes", BigInteger, nullable=False, server_default="0"),
    *vouched(),
    Index("ix_captures_ended_ms", "ended_ms"),
    sqlite_autoincrement=True,
)
"""`plan`: redactions and bounds, as JSON. `record_id`: the sealed record of the key that opens what was captured; NULL
once it was destroyed, and everything captured with it. `taken`, `bytes`: how much there is so far."""

uncaptured = Table(
    "uncaptured",
    metadata,
    row_id(),
    Column("customer_id", Id, nullable=False, unique=True),
    Column("created_ms", Ms, nullable=False),
    *vouched(),
)
"""Customers of whom nothing is ever captured."""
