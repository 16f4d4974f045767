"""What the vault holds: slots, data keys, sealed records, and what it has yet to vouch for."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Table, Text

from keyvault.storage.schema.columns import Ms, metadata

vault_slots = Table(
    "vault_slots",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("params", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("detail", Text, nullable=False, server_default=""),
    Column("created_ms", Ms, nullable=False),
)

vault_generations = Table(
    "vault_generations",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("compartment", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("created_ms", Ms, nullable=False),
)

sealed_records = Table(
    "sealed_records",
    metadata,
    Column("id", Text, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Column("updated_ms", Ms, nullable=False),
)

unsealed = Table(
    "unsealed",
    metadata,
    Column("name", Text, primary_key=True),
    Column("row_id", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
"""Rows that took access away while the vault was locked, by table name; whoever opens it next seals them."""
