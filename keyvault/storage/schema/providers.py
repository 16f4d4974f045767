"""Upstreams, the secrets they are called with, and who owns what is stored with them."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, SmallInteger, Table, Text

from keyvault.storage.schema.columns import Id, Ms, metadata, row_id, vouched

upstreams = Table(
    "upstreams",
    metadata,
    row_id(),
    Column("name", Text, nullable=False),
    Column("folded", Text, nullable=False, unique=True),
    Column("provider", Text, nullable=False),
    Column("base_url", Text, nullable=False),
    Column("dialects", Text, nullable=False),
    Column("auth_header", Text, nullable=False),
    Column("auth_scheme", Text, nullable=False),
    Column("stream_usage", SmallInteger, nullable=False),
    Column("catalogue", Text),
    Column("extra_headers", Text, nullable=False, server_default="{}"),
    Column("disabled", SmallInteger, nullable=False, server_default="0"),
    Column("allow_private", SmallInteger, nullable=False, server_default="0"),
    Column("ca_file", Text),
    Column("verified_ms", Ms),
    Column("verified_note", Text, nullable=False, server_default=""),
    Column("created_ms", Ms, nullable=False),
    *vouched(),
)

credentials = Table(
    "credentials",
    metadata,
    row_id(),
    Column("upstream_id", Id, ForeignKey("upstreams.id"), nullable=False),
    Column("label", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("weight", Integer, nullable=False, server_default="1"),
    Column("record_id", Text, nullable=False, unique=True),
    Column("created_ms", Ms, nullable=False),
    Column("changed_ms", Ms, nullable=False),
    Column("until_ms", Ms),
    Column("tested_ms", Ms),
    Column("test_note", Text, nullable=False, server_default=""),
    Column("aside_ms", Ms),
    Column("aside_note", Text, nullable=False, server_default=""),
    *vouched(),
    Index("ix_credentials_upstream", "upstream_id"),
    sqlite_autoincrement=True,
)
"""The secrets of an upstream, each a sealed record. `state`: staged, tested, current, previous or retired;
`changed_ms`: when it got there; `until_ms`: how long a previous one stays usable. Several accounts of one upstream
differ by `label`; `aside_ms`: since when the provider refuses it. Ids are never given twice: stored objects name
them."""

objects = Table(
    "objects",
    metadata,
    Column("object_id", Text, primary_key=True),
    Column("upstream", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("parent", Text),
    Column("project_id", Id, nullable=False),
    Column("key_id", Id, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("credential_id", Id),
    Column("created_ms", Ms, nullable=False),
    Column("model", Text),
    Column("state", Text, nullable=False, server_default="stored"),
    Column("due_ms", Ms),
    Index("ix_objects_state", "state", "due_ms"),
    Index("ix_objects_project", "project_id", "kind", "created_ms"),
    sqlite_with_rowid=False,
)
"""Who owns what is stored at a provider. `parent`: the object it lies below. `state`: `stored`, or `pending` work that
is metered when it is `settled`; `due_ms`: when to ask about it next."""

paid_work = Table(
    "paid_work",
    metadata,
    Column("object_id", Text, primary_key=True),
    Column("upstream", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("begun_ms", Ms, nullable=False),
    sqlite_with_rowid=False,
)
"""Work at providers that was booked, and by which kind of price and of which moment; objects may be forgotten, this
stays as long as the ledger."""
