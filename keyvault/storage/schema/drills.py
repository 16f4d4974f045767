"""Drills: one target made to fail for one key, for a bounded time."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text

from keyvault.storage.schema.columns import Id, Ms, metadata, row_id

drills = Table(
    "drills",
    metadata,
    row_id(),
    Column("key_id", Id, nullable=False),
    Column("upstream", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("fault", Text, nullable=False),
    Column("created_ms", Ms, nullable=False),
    Column("until_ms", Ms, nullable=False),
    Column("ended_ms", Ms),
    Index("ix_drills_until_ms", "until_ms"),
    sqlite_autoincrement=True,
)
"""A drill is over at `until_ms` whether or not somebody ends it, an hour after it began at the latest. It can only take
service away from its own key, so nobody has to vouch for it."""
