"""Who may call and who pays: customers, projects, keys and their generations, and the switch that stops everybody."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary, SmallInteger, Table, Text, UniqueConstraint

from keyvault.storage.schema.columns import Id, Ms, metadata, row_id, vouched

customers = Table(
    "customers",
    metadata,
    row_id(),
    Column("name", Text, nullable=False),
    Column("folded", Text, nullable=False, unique=True),
    Column("suspended", SmallInteger, nullable=False, server_default="0"),
    Column("multiplier_ppm", BigInteger, nullable=False, server_default="1000000"),
    Column("tags", Text, nullable=False, server_default="{}"),
    Column("created_ms", Ms, nullable=False),
    *vouched(),
)

projects = Table(
    "projects",
    metadata,
    row_id(),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("folded", Text, nullable=False),
    Column("suspended", SmallInteger, nullable=False, server_default="0"),
    Column("tags", Text, nullable=False, server_default="{}"),
    Column("created_ms", Ms, nullable=False),
    *vouched(),
    UniqueConstraint("customer_id", "folded"),
)

keys = Table(
    "keys",
    metadata,
    row_id(),
    Column("public_id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("folded", Text, nullable=False, unique=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("env", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("tags", Text, nullable=False, server_default="{}"),
    Column("created_ms", Ms, nullable=False),
    Column("expires_ms", Ms),
    Column("epoch", BigInteger, nullable=False, index=True),
    Column("deleted_ms", Ms),
    *vouched(),
)
"""`epoch`: the value of `epochs.keys` at the last change of this key, its project or its customer."""

key_generations = Table(
    "key_generations",
    metadata,
    row_id(),
    Column("key_id", Id, ForeignKey("keys.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("mac", LargeBinary, nullable=False, unique=True),
    Column("pepper_version", Integer, nullable=False),
    Column("masked", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_ms", Ms, nullable=False),
    Column("activated_ms", Ms),
    Column("valid_until_ms", Ms),
    Column("grace_ms", Ms),
    Column("last_used_ms", Ms),
    Column("last_client", Text),
    Column("last_address", Text),
    Column("adopted", SmallInteger, nullable=False, server_default="0"),
    UniqueConstraint("key_id", "number"),
)
"""`grace_ms`: how long the generation before this one stays usable once this one is active. `adopted`: a token of
another gateway, in its own form."""

gateway = Table(
    "gateway",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("suspended", SmallInteger, nullable=False, server_default="0"),
    *vouched(),
)
"""One row (id 1): the switch that stops everybody."""
