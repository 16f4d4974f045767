"""Rollouts: a new target for an alias that takes a small, watched share of its traffic."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, SmallInteger, Table, Text

from keyvault.storage.schema.columns import Id, Ms, metadata, row_id, vouched

rollouts = Table(
    "rollouts",
    metadata,
    row_id(),
    Column("alias", Text, nullable=False),
    Column("upstream", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("plan", Text, nullable=False),
    Column("salt", Text, nullable=False),
    Column("step", Integer, nullable=False, server_default="0"),
    Column("step_started_ms", Ms, nullable=False),
    Column("created_ms", Ms, nullable=False),
    Column("ended_ms", Ms),
    Column("reason", Text),
    *vouched(),
    Index("ix_rollouts_state", "state"),
    sqlite_autoincrement=True,
)
"""`state`: running, paused, finished, rolled_back. `plan`: what never changes (steps, guards, looks, error rate, by
what requests are drawn), as JSON. `salt` makes one rollout's draw independent of another's."""

rollout_looks = Table(
    "rollout_looks",
    metadata,
    Column("rollout_id", Id, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at_ms", Ms, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("figures", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""What each look of the guards saw and decided. `number`: step and look within it; `figures`: JSON."""

rollout_requests = Table(
    "rollout_requests",
    metadata,
    Column("rollout_id", Id, primary_key=True),
    Column("request_id", Text, primary_key=True),
    Column("arm", SmallInteger, nullable=False),
    Column("unit", BigInteger),
    sqlite_with_rowid=False,
)
"""Which arm each request of a rollout was drawn for: 0 the baseline, 1 the new target; `unit`: with which others, where
not single requests are drawn. The ledger's rows stay as they are; most requests belong to no rollout."""
