"""Rows that the vault vouches for, credentials apart from upstreams, commands, alerts and owned objects.

Written out and never edited again: a schema of the past does not change with the code of today.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
VOUCHED = ("customers", "projects", "keys", "upstreams", "revisions", "prices")


def _version() -> sa.Column[int]:
    return sa.Column("version", sa.BigInteger(), server_default="1", nullable=False)


def _seal() -> sa.Column[bytes]:
    return sa.Column("seal", sa.LargeBinary(), nullable=True)


def upgrade() -> None:
    for table in VOUCHED:
        op.add_column(table, _version())
        op.add_column(table, _seal())
    op.add_column("keys", sa.Column("deleted_ms", sa.BigInteger(), nullable=True))
    op.add_column("key_generations", sa.Column("adopted", sa.SmallInteger(), server_default="0", nullable=False))
    op.add_column("audit", sa.Column("command", sa.Text(), server_default="", nullable=False))
    op.add_column("audit", sa.Column("mac", sa.LargeBinary(), nullable=True))
    _create_vault_tables()
    _create_operation_tables()
    _move_credentials()


def _create_vault_tables() -> None:
    op.create_table(
        "gateway",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("suspended", sa.SmallInteger(), server_default="0", nullable=False),
        _version(),
        _seal(),
        sa.PrimaryKeyConstraint("id", name="pk_gateway"),
    )
    op.execute("INSERT INTO gateway (id) VALUES (1)")
    op.create_table(
        "unsealed",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("row_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("name", "row_id", name="pk_unsealed"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "credentials",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("upstream_id", ID, nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("weight", sa.Integer(), server_default="1", nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=True),
        sa.Column("tested_ms", sa.BigInteger(), nullable=True),
        sa.Column("test_note", sa.Text(), server_default="", nullable=False),
        sa.Column("aside_ms", sa.BigInteger(), nullable=True),
        sa.Column("aside_note", sa.Text(), server_default="", nullable=False),
        _version(),
        _seal(),
        sa.ForeignKeyConstraint(["upstream_id"], ["upstreams.id"], name="fk_credentials_upstream_id"),
        sa.PrimaryKeyConstraint("id", name="pk_credentials"),
        sa.UniqueConstraint("record_id", name="uq_credentials_record_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_credentials_upstream", "credentials", ["upstream_id"], unique=False)


def _create_operation_tables() -> None:
    op.create_table(
        "commands",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_commands"),
    )
    op.create_table(
        "acknowledgements",
        sa.Column("command_id", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("command_id", "worker", name="pk_acknowledgements"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "alerts",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), server_default="1", nullable=False),
        sa.Column("resolved_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_alerts"),
    )
    op.create_index("ix_alerts_open", "alerts", ["kind", "scope", "resolved_ms"], unique=False)
    op.create_table(
        "objects",
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("upstream", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("parent", sa.Text(), nullable=True),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("key_id", ID, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("credential_id", ID, nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), server_default="stored", nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("object_id", "upstream", name="pk_objects"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_objects_state", "objects", ["state", "due_ms"], unique=False)
    op.create_index("ix_objects_project", "objects", ["project_id", "kind", "created_ms"], unique=False)


def _move_credentials() -> None:
    """The one credential of each upstream becomes its current one; the sealed record stays as it is."""
    op.execute(
        "INSERT INTO credentials (upstream_id, label, state, record_id, created_ms, changed_ms, tested_ms, test_note) "
        "SELECT id, 'main', 'current', record_id, created_ms, created_ms, verified_ms, verified_note FROM upstreams "
        "WHERE record_id IS NOT NULL"
    )
    op.drop_column("upstreams", "record_id")
