"""Statements of closed months, adjustments that wait for one, runs that priced a span of the ledger anew, and what
those have to know of work that was booked.

Written out and never edited again: a schema of the past does not change with the code of today.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _vouched() -> tuple[sa.Column[int], sa.Column[bytes]]:
    version = sa.Column("version", sa.BigInteger(), server_default="1", nullable=False)
    return version, sa.Column("seal", sa.LargeBinary(), nullable=True)


def upgrade() -> None:
    op.create_table(
        "statements",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("customer_id", ID, nullable=False),
        sa.Column("month", sa.Text(), nullable=True),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("credits", sa.Text(), nullable=True),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        *_vouched(),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_statements_customer_id"),
        sa.PrimaryKeyConstraint("id", name="pk_statements"),
        sa.UniqueConstraint("number", name="uq_statements_number"),
        sa.UniqueConstraint("customer_id", "month", name="uq_statements_customer_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "repricings",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("upstream", sa.Text(), nullable=True),
        sa.Column("price_id", ID, nullable=False),
        sa.Column("multipliers", sa.Text(), nullable=False),
        sa.Column("left_out", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        *_vouched(),
        sa.PrimaryKeyConstraint("id", name="pk_repricings"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "adjustments",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("customer_id", ID, nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("amount_pico", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("corrects_ms", sa.BigInteger(), nullable=False),
        sa.Column("statement", sa.Text(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        *_vouched(),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_adjustments_customer_id"),
        sa.PrimaryKeyConstraint("id", name="pk_adjustments"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "paid_work",
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("upstream", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("begun_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("object_id", "upstream", name="pk_paid_work"),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO paid_work (object_id, upstream, kind, begun_ms)"
        " SELECT object_id, upstream, kind, created_ms FROM objects WHERE state = 'settled'"
    )
