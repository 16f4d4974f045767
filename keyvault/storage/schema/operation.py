"""What keeps a running gateway together: change epochs, workers and their orders, alerts, the audit log."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, LargeBinary, Table, Text

from keyvault.storage.schema.columns import Id, Ms, count, metadata, row_id

meta = Table("meta", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))

epochs = Table(
    "epochs",
    metadata,
    Column("id", Integer, primary_key=True),
    count("keys"),
    count("upstreams"),
    count("routes"),
    count("prices"),
    count("money"),
)
"""One row (id 1). A column grows with each change of that aggregate; running proxies compare it on every request.
`money`: budgets, balances and limits."""

workers = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("pid", Integer, nullable=False),
    Column("host", Text, nullable=False),
    Column("listen", Text, nullable=False),
    Column("admin", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("started_ms", Ms, nullable=False),
    Column("heartbeat_ms", Ms, nullable=False),
    Column("state", Text, nullable=False),
)

commands = Table(
    "commands",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("created_ms", Ms, nullable=False),
)
"""What running workers must do now, such as cut streams. Ids sort by time."""

acknowledgements = Table(
    "acknowledgements",
    metadata,
    Column("command_id", Text, primary_key=True),
    Column("worker", Text, primary_key=True),
    Column("result", Text, nullable=False),
    Column("at_ms", Ms, nullable=False),
    sqlite_with_rowid=False,
)

alerts = Table(
    "alerts",
    metadata,
    row_id(),
    Column("kind", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("first_ms", Ms, nullable=False),
    Column("last_ms", Ms, nullable=False),
    Column("count", Integer, nullable=False, server_default="1"),
    Column("resolved_ms", Ms),
    Column("sent_ms", Ms),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("due_ms", Ms),
    Index("ix_alerts_open", "kind", "scope", "resolved_ms"),
)
"""What an operator should know. One that is still open is counted again instead of added again. `sent_ms`: when the
webhook took it last; `due_ms`: when it is to be told of it, NULL where nothing is owed; `tries`: how often it was."""

audit = Table(
    "audit",
    metadata,
    Column("seq", Id, primary_key=True, autoincrement=False),
    Column("at_ms", Ms, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("previous", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("command", Text, nullable=False, server_default=""),
    Column("mac", LargeBinary),
)
"""`mac`: over the digest, under the audit key; NULL until somebody who can open the vault has sealed the entry."""
