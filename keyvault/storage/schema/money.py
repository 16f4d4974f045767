"""Prices, and what may be spent: budgets, limits, prepaid balances."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

from keyvault.storage.schema.columns import Id, Ms, Pico, count, metadata, row_id, vouched

prices = Table(
    "prices",
    metadata,
    row_id(),
    Column("upstream", Text),
    Column("catalogue", Text),
    Column("model", Text, nullable=False),
    Column("match", Text),
    Column("rates", Text, nullable=False),
    Column("from_ms", Ms, nullable=False),
    Column("source", Text, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
    Column("recorded_ms", Ms, nullable=False),
    *vouched(),
    Index("ix_prices_lookup", "upstream", "catalogue", "model", "from_ms"),
)
"""Append-only. `upstream` is set for own prices, `catalogue` (+ `match`, a JSON clause) for catalogue prices."""

budgets = Table(
    "budgets",
    metadata,
    row_id(),
    Column("scope_kind", Text, nullable=False),
    Column("scope_id", Id, nullable=False),
    Column("model", Text, nullable=False, server_default=""),
    Column("env", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("zone", Text, nullable=False, server_default="UTC"),
    Column("amount_pico", Pico, nullable=False),
    Column("hard", SmallInteger, nullable=False),
    Column("thresholds", Text, nullable=False, server_default="[]"),
    Column("created_ms", Ms, nullable=False),
    *vouched(),
    UniqueConstraint("scope_kind", "scope_id", "model", "env", "period"),
    sqlite_autoincrement=True,
)
"""`scope_kind`: customer, project or key. `model`: a pattern of aliases, empty for all. `thresholds`: percents, as
JSON."""

limits = Table(
    "limits",
    metadata,
    row_id(),
    Column("scope_kind", Text, nullable=False),
    Column("scope_id", Id, nullable=False),
    Column("model", Text, nullable=False, server_default=""),
    Column("rpm", BigInteger),
    Column("tpm", BigInteger),
    Column("parallel", Integer),
    Column("created_ms", Ms, nullable=False),
    *vouched(),
    UniqueConstraint("scope_kind", "scope_id", "model"),
    sqlite_autoincrement=True,
)
"""Requests a minute, tokens a minute, requests at once; NULL: not limited."""

balances = Table(
    "balances",
    metadata,
    row_id(),
    Column("scope_kind", Text, nullable=False),
    Column("scope_id", Id, nullable=False),
    Column("env", Text, nullable=False),
    Column("funded_pico", Pico, nullable=False, server_default="0"),
    Column("entries", Integer, nullable=False, server_default="0"),
    Column("head", LargeBinary),
    Column("released_pico", Pico, nullable=False, server_default="0"),
    Column("low_pico", Pico),
    Column("created_ms", Ms, nullable=False),
    *vouched(),
    UniqueConstraint("scope_kind", "scope_id", "env"),
    sqlite_autoincrement=True,
)
"""Prepaid money of a customer or a project. `funded_pico`, `entries`, `head`: sum, number and last digest of its
entries, so that the seal of this row vouches for them. `released_pico`: how much of the sum was given back of what had
been in doubt. `low_pico`: below it an alert is raised."""

balance_entries = Table(
    "balance_entries",
    metadata,
    Column("balance_id", Id, ForeignKey("balances.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at_ms", Ms, nullable=False),
    Column("actor", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("amount_pico", Pico, nullable=False),
    Column("reason", Text, nullable=False),
    Column("payment", Text),
    Column("digest", LargeBinary, nullable=False),
    UniqueConstraint("balance_id", "payment"),
    sqlite_with_rowid=False,
)
"""Append-only; each digest is over the one before it. `payment`: what the payment is called elsewhere; booked once."""

balance_spending = Table(
    "balance_spending",
    metadata,
    Column("balance_id", Id, ForeignKey("balances.id"), primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
    Column("charged_pico", Pico, nullable=False),
    Column("doubt_pico", Pico, nullable=False),
    Column("mac", LargeBinary),
    sqlite_with_rowid=False,
)
"""What was taken from a balance so far, written by the ledger with every settlement. `mac`: under the vault's key for
spending, over balance, version and amounts."""

purse = Table(
    "purse",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("worker", Text, nullable=False, server_default=""),
    count("taken_ms"),
)
"""One row (id 1): the worker that may spend from hard budgets and balances; there is one at a time."""
