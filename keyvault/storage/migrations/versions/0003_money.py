"""Budgets, limits, prepaid balances, who pays for an attempt, what was held for it, and where conversations stay.

Written out and never edited again: a schema of the past does not change with the code of today.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
TOTALS = ("totals_minute", "totals_quarter", "totals_day")
FIRST_SUMS = (
    "requests",
    "attempts",
    "errors",
    "failures",
    "input",
    "cached_input",
    "cache_write",
    "output",
    "reasoning",
    "cost_pico",
    "charge_pico",
    "unknown_cost",
    "free",
    "basis_unknown",
    "basis_provider",
    "basis_tokenizer",
    "basis_estimate",
    *(f"first_{bucket}" for bucket in range(16)),
    *(f"total_{bucket}" for bucket in range(16)),
)


def upgrade() -> None:
    op.add_column("epochs", sa.Column("money", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("alerts", sa.Column("sent_ms", sa.BigInteger(), nullable=True))
    op.add_column("alerts", sa.Column("tries", sa.Integer(), server_default="0", nullable=False))
    op.add_column("alerts", sa.Column("due_ms", sa.BigInteger(), nullable=True))
    for table in ("open_attempts", "attempts"):
        op.add_column(table, sa.Column("project_id", ID, server_default="0", nullable=False))
        op.add_column(table, sa.Column("balance_id", ID, nullable=True))
        op.add_column(table, sa.Column("hold_pico", sa.BigInteger(), nullable=True))
        op.add_column(table, sa.Column("tags", sa.Text(), nullable=True))
    op.add_column("attempts", sa.Column("doubt_pico", sa.BigInteger(), nullable=True))
    for table in TOTALS:
        _pay_by_project(table)
    _create_rules()
    _create_balances()
    op.create_table(
        "affinities",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("target_id", ID, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_affinities"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_affinities_at_ms", "affinities", ["at_ms"], unique=False)


def _pay_by_project(table: str) -> None:
    """Tell apart who pays; all totals so far are those of the keys' own projects."""
    keys = ("bucket", "key_id", "alias_id", "target_id", "project_id")
    project = sa.Column("project_id", ID, server_default="0", nullable=False)
    doubt = sa.Column("doubt_pico", sa.BigInteger(), server_default="0", nullable=False)
    if op.get_bind().dialect.name != "sqlite":
        op.add_column(table, project)
        op.add_column(table, doubt)
        op.drop_constraint(f"pk_{table}", table, type_="primary")
        op.create_primary_key(f"pk_{table}", table, list(keys))
        return
    op.rename_table(table, f"old_{table}")
    op.create_table(
        table,
        sa.Column("bucket", sa.Integer(), nullable=False),
        *(sa.Column(name, ID, nullable=False) for name in keys[1:4]),
        project,
        *(sa.Column(name, sa.BigInteger(), server_default="0", nullable=False) for name in FIRST_SUMS),
        doubt,
        sa.PrimaryKeyConstraint(*keys, name=f"pk_{table}"),
        sqlite_with_rowid=False,
    )
    columns = ", ".join((*keys[:4], *FIRST_SUMS))
    op.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM old_{table}")  # noqa: S608 - names from above
    op.drop_table(f"old_{table}")


def _vouched() -> tuple[sa.Column[int], sa.Column[bytes]]:
    version = sa.Column("version", sa.BigInteger(), server_default="1", nullable=False)
    return version, sa.Column("seal", sa.LargeBinary(), nullable=True)


def _create_rules() -> None:
    op.create_table(
        "budgets",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("scope_kind", sa.Text(), nullable=False),
        sa.Column("scope_id", ID, nullable=False),
        sa.Column("model", sa.Text(), server_default="", nullable=False),
        sa.Column("env", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), server_default="UTC", nullable=False),
        sa.Column("amount_pico", sa.BigInteger(), nullable=False),
        sa.Column("hard", sa.SmallInteger(), nullable=False),
        sa.Column("thresholds", sa.Text(), server_default="[]", nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        *_vouched(),
        sa.PrimaryKeyConstraint("id", name="pk_budgets"),
        sa.UniqueConstraint("scope_kind", "scope_id", "model", "env", "period", name="uq_budgets_scope_kind"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "limits",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("scope_kind", sa.Text(), nullable=False),
        sa.Column("scope_id", ID, nullable=False),
        sa.Column("model", sa.Text(), server_default="", nullable=False),
        sa.Column("rpm", sa.BigInteger(), nullable=True),
        sa.Column("tpm", sa.BigInteger(), nullable=True),
        sa.Column("parallel", sa.Integer(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        *_vouched(),
        sa.PrimaryKeyConstraint("id", name="pk_limits"),
        sa.UniqueConstraint("scope_kind", "scope_id", "model", name="uq_limits_scope_kind"),
        sqlite_autoincrement=True,
    )


def _create_balances() -> None:
    op.create_table(
        "balances",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("scope_kind", sa.Text(), nullable=False),
        sa.Column("scope_id", ID, nullable=False),
        sa.Column("env", sa.Text(), nullable=False),
        sa.Column("funded_pico", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("entries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=True),
        sa.Column("released_pico", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("low_pico", sa.BigInteger(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        *_vouched(),
        sa.PrimaryKeyConstraint("id", name="pk_balances"),
        sa.UniqueConstraint("scope_kind", "scope_id", "env", name="uq_balances_scope_kind"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "balance_entries",
        sa.Column("balance_id", ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount_pico", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("payment", sa.Text(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["balance_id"], ["balances.id"], name="fk_balance_entries_balance_id"),
        sa.PrimaryKeyConstraint("balance_id", "number", name="pk_balance_entries"),
        sa.UniqueConstraint("balance_id", "payment", name="uq_balance_entries_balance_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "balance_spending",
        sa.Column("balance_id", ID, autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("charged_pico", sa.BigInteger(), nullable=False),
        sa.Column("doubt_pico", sa.BigInteger(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["balance_id"], ["balances.id"], name="fk_balance_spending_balance_id"),
        sa.PrimaryKeyConstraint("balance_id", name="pk_balance_spending"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "purse",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("worker", sa.Text(), server_default="", nullable=False),
        sa.Column("taken_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_purse"),
    )
    op.execute("INSERT INTO purse (id) VALUES (1)")
