"""Revisions of the routes, and where a conversation's state lies."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, LargeBinary, Table, Text

from keyvault.storage.schema.columns import Id, Ms, metadata, vouched

revisions = Table(
    "revisions",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("created_ms", Ms, nullable=False),
    Column("actor", Text, nullable=False),
    Column("snapshot", Text, nullable=False),
    *vouched(),
)

affinities = Table(
    "affinities",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("target_id", Id, nullable=False),
    Column("at_ms", Ms, nullable=False),
    Index("ix_affinities_at_ms", "at_ms"),
    sqlite_with_rowid=False,
)
"""Which target made a piece of conversation state that only it can read; by digest, never the state itself."""
