"""Closed months: statements with their credit notes, what waits for the next one, and what was priced anew."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, LargeBinary, Table, Text, UniqueConstraint

from keyvault.storage.schema.columns import Id, Ms, Pico, metadata, row_id, vouched

statements = Table(
    "statements",
    metadata,
    row_id(),
    Column("number", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False),
    Column("month", Text),
    Column("zone", Text, nullable=False),
    Column("credits", Text),
    Column("amount_cents", BigInteger, nullable=False),
    Column("content", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("created_ms", Ms, nullable=False),
    *vouched(),
    UniqueConstraint("customer_id", "month"),
    sqlite_autoincrement=True,
)
"""Statements and credit notes, never edited. `kind`: statement or credit_note. `month`: NULL for a credit note;
`credits`: the number of the statement that one refers to. `content`: canonical JSON, `digest`: its SHA-256."""

repricings = Table(
    "repricings",
    metadata,
    row_id(),
    Column("first_ms", Ms, nullable=False),
    Column("last_ms", Ms, nullable=False),
    Column("model", Text),
    Column("upstream", Text),
    Column("price_id", Id, nullable=False),
    Column("multipliers", Text, nullable=False),
    Column("left_out", Text, nullable=False),
    Column("created_ms", Ms, nullable=False),
    *vouched(),
    sqlite_autoincrement=True,
)
"""Spans of the ledger that were priced anew, by the price book as it was up to `price_id`. `multipliers`: what
customers paid by where an attempt did not tell, as JSON by customer id; `left_out`: the requests that were under way
then, a JSON list of ids."""

adjustments = Table(
    "adjustments",
    metadata,
    row_id(),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False),
    Column("project", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("amount_pico", Pico, nullable=False),
    Column("reason", Text, nullable=False),
    Column("corrects_ms", Ms, nullable=False),
    Column("statement", Text),
    Column("created_ms", Ms, nullable=False),
    *vouched(),
    sqlite_autoincrement=True,
)
"""What a customer without a balance is charged or given back later. `corrects_ms`: the newest moment that it is about;
it stands on no month that was over by then. `statement`: the number of the one it stands on, NULL while it waits for
the next."""
