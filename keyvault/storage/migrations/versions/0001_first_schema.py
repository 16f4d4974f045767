"""The first schema: every table as of this revision, written out so that later schemas do not change it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SUMS = (
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
    op.create_table(
        "aliases",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_aliases"),
        sa.UniqueConstraint("name", name="uq_aliases_name"),
    )
    op.create_table(
        "attempts",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("key_id", ID, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("alias_id", ID, nullable=False),
        sa.Column("target_id", ID, nullable=False),
        sa.Column("dialect", sa.Text(), nullable=False),
        sa.Column("stream", sa.SmallInteger(), nullable=False),
        sa.Column("outcome", sa.SmallInteger(), nullable=False),
        sa.Column("final", sa.SmallInteger(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.Column("basis", sa.SmallInteger(), nullable=False),
        sa.Column("input", sa.BigInteger(), nullable=True),
        sa.Column("cached_input", sa.BigInteger(), nullable=True),
        sa.Column("cache_write", sa.BigInteger(), nullable=True),
        sa.Column("cache_write_1h", sa.BigInteger(), nullable=True),
        sa.Column("output", sa.BigInteger(), nullable=True),
        sa.Column("reasoning", sa.BigInteger(), nullable=True),
        sa.Column("audio_input", sa.BigInteger(), nullable=True),
        sa.Column("audio_output", sa.BigInteger(), nullable=True),
        sa.Column("images", sa.BigInteger(), nullable=True),
        sa.Column("price_id", ID, nullable=True),
        sa.Column("cost_pico", sa.BigInteger(), nullable=True),
        sa.Column("charge_pico", sa.BigInteger(), nullable=True),
        sa.Column("bound_pico", sa.BigInteger(), nullable=True),
        sa.Column("first_content_ms", sa.Integer(), nullable=True),
        sa.Column("total_ms", sa.Integer(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_text", sa.Text(), nullable=True),
        sa.Column("provider_request_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("request_id", "number", name="pk_attempts"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "audit",
        sa.Column("seq", ID, autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
    )
    op.create_table(
        "customers",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.Column("suspended", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("multiplier_ppm", sa.BigInteger(), server_default="1000000", nullable=False),
        sa.Column("tags", sa.Text(), server_default="{}", nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_customers"),
        sa.UniqueConstraint("folded", name="uq_customers_folded"),
    )
    op.create_table(
        "epochs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("keys", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("upstreams", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("routes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("prices", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_epochs"),
    )
    op.create_table(
        "ledger_changes",
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("changes", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("worker", name="pk_ledger_changes"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "meta",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_meta"),
    )
    op.create_table(
        "open_attempts",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("key_id", ID, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("alias_id", ID, nullable=False),
        sa.Column("target_id", ID, nullable=False),
        sa.Column("dialect", sa.Text(), nullable=False),
        sa.Column("stream", sa.SmallInteger(), nullable=False),
        sa.Column("bound_pico", sa.BigInteger(), nullable=True),
        sa.Column("multiplier_ppm", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("request_id", "number", name="pk_open_attempts"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "prices",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("upstream", sa.Text(), nullable=True),
        sa.Column("catalogue", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("match", sa.Text(), nullable=True),
        sa.Column("rates", sa.Text(), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("recorded_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_prices"),
    )
    op.create_index("ix_prices_lookup", "prices", ["upstream", "catalogue", "model", "from_ms"], unique=False)
    op.create_table(
        "revisions",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("snapshot", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_revisions"),
    )
    op.create_table(
        "sealed_records",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sealed_records"),
    )
    op.create_table(
        "targets",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("upstream", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_targets"),
        sa.UniqueConstraint("upstream", "model", name="uq_targets_upstream"),
    )
    op.create_table(
        "upstreams",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("base_url", sa.Text(), nullable=False),
        sa.Column("dialects", sa.Text(), nullable=False),
        sa.Column("auth_header", sa.Text(), nullable=False),
        sa.Column("auth_scheme", sa.Text(), nullable=False),
        sa.Column("stream_usage", sa.SmallInteger(), nullable=False),
        sa.Column("catalogue", sa.Text(), nullable=True),
        sa.Column("extra_headers", sa.Text(), server_default="{}", nullable=False),
        sa.Column("disabled", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("allow_private", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("ca_file", sa.Text(), nullable=True),
        sa.Column("record_id", sa.Text(), nullable=True),
        sa.Column("verified_ms", sa.BigInteger(), nullable=True),
        sa.Column("verified_note", sa.Text(), server_default="", nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_upstreams"),
        sa.UniqueConstraint("folded", name="uq_upstreams_folded"),
    )
    op.create_table(
        "vault_generations",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("compartment", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_vault_generations"),
    )
    op.create_table(
        "vault_slots",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("params", sa.Text(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_vault_slots"),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("listen", sa.Text(), nullable=False),
        sa.Column("admin", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("heartbeat_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workers"),
    )
    op.create_table(
        "projects",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("customer_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.Column("suspended", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("tags", sa.Text(), server_default="{}", nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_projects_customer_id"),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        sa.UniqueConstraint("customer_id", "folded", name="uq_projects_customer_id"),
    )
    op.create_table(
        "keys",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("public_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("env", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), server_default="{}", nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_keys_project_id"),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.UniqueConstraint("folded", name="uq_keys_folded"),
        sa.UniqueConstraint("public_id", name="uq_keys_public_id"),
    )
    op.create_index("ix_keys_epoch", "keys", ["epoch"], unique=False)
    op.create_table(
        "key_generations",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("key_id", ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.Column("pepper_version", sa.Integer(), nullable=False),
        sa.Column("masked", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("activated_ms", sa.BigInteger(), nullable=True),
        sa.Column("valid_until_ms", sa.BigInteger(), nullable=True),
        sa.Column("grace_ms", sa.BigInteger(), nullable=True),
        sa.Column("last_used_ms", sa.BigInteger(), nullable=True),
        sa.Column("last_client", sa.Text(), nullable=True),
        sa.Column("last_address", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["key_id"], ["keys.id"], name="fk_key_generations_key_id"),
        sa.PrimaryKeyConstraint("id", name="pk_key_generations"),
        sa.UniqueConstraint("key_id", "number", name="uq_key_generations_key_id"),
        sa.UniqueConstraint("mac", name="uq_key_generations_mac"),
    )
    for span in ("day", "minute", "quarter"):
        _create_totals(f"totals_{span}")
    op.execute("INSERT INTO epochs (id) VALUES (1)")


def _create_totals(name: str) -> None:
    keys = ("bucket", "key_id", "alias_id", "target_id")
    op.create_table(
        name,
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        *(sa.Column(column, ID, autoincrement=False, nullable=False) for column in keys[1:]),
        *(sa.Column(column, sa.BigInteger(), server_default="0", nullable=False) for column in SUMS),
        sa.PrimaryKeyConstraint(*keys, name=f"pk_{name}"),
        sqlite_with_rowid=False,
    )
