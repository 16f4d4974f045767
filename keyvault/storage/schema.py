"""The schema, one table per thing, for SQLite and PostgreSQL alike.

Times are integer milliseconds since the epoch, money integer pico-dollars, booleans integers 0/1, JSON text. Names
carry a folded twin that is unique. Every change here needs a migration; a test compares the two.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

from keyvault.domain.reports import LATENCY_BOUNDS_MS

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Ms = BigInteger
Pico = BigInteger
Id = BigInteger().with_variant(Integer, "sqlite")


def _id() -> Column[int]:
    return Column("id", Id, primary_key=True, autoincrement=True)


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


def _vouched() -> tuple[Column[int], Column[bytes]]:
    """The columns of a row that the vault vouches for: its version, and a MAC over what `storage.seals` says counts."""
    return Column("version", BigInteger, nullable=False, server_default="1"), Column("seal", LargeBinary)


meta = Table("meta", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))

epochs = Table(
    "epochs",
    metadata,
    Column("id", Integer, primary_key=True),
    _count("keys"),
    _count("upstreams"),
    _count("routes"),
    _count("prices"),
    _count("money"),
)
"""One row (id 1). A column grows with each change of that aggregate; running proxies compare it on every request.
`money`: budgets, balances and limits."""

customers = Table(
    "customers",
    metadata,
    _id(),
    Column("name", Text, nullable=False),
    Column("folded", Text, nullable=False, unique=True),
    Column("suspended", SmallInteger, nullable=False, server_default="0"),
    Column("multiplier_ppm", BigInteger, nullable=False, server_default="1000000"),
    Column("tags", Text, nullable=False, server_default="{}"),
    Column("created_ms", Ms, nullable=False),
    *_vouched(),
)

projects = Table(
    "projects",
    metadata,
    _id(),
    Column("customer_id", Id, ForeignKey("customers.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("folded", Text, nullable=False),
    Column("suspended", SmallInteger, nullable=False, server_default="0"),
    Column("tags", Text, nullable=False, server_default="{}"),
    Column("created_ms", Ms, nullable=False),
    *_vouched(),
    UniqueConstraint("customer_id", "folded"),
)

keys = Table(
    "keys",
    metadata,
    _id(),
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
    *_vouched(),
)
"""`epoch`: the value of `epochs.keys` at the last change of this key, its project or its customer."""

key_generations = Table(
    "key_generations",
    metadata,
    _id(),
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
    *_vouched(),
)
"""One row (id 1): the switch that stops everybody."""

unsealed = Table(
    "unsealed",
    metadata,
    Column("name", Text, primary_key=True),
    Column("row_id", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
"""Rows that took access away while the vault was locked, by table name; whoever opens it next seals them."""

vault_slots = Table(
    "vault_slots",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("params", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("detail", Text, nullable=False, server_default=""),
    Column("created_ms", Ms, nullable=False),
)

vault_generations = Table(
    "vault_generations",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("compartment", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("created_ms", Ms, nullable=False),
)

sealed_records = Table(
    "sealed_records",
    metadata,
    Column("id", Text, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Column("updated_ms", Ms, nullable=False),
)

upstreams = Table(
    "upstreams",
    metadata,
    _id(),
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
    *_vouched(),
)

credentials = Table(
    "credentials",
    metadata,
    _id(),
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
    *_vouched(),
    Index("ix_credentials_upstream", "upstream_id"),
    sqlite_autoincrement=True,
)
"""The secrets of an upstream, each a sealed record. `state`: staged, tested, current, previous or retired;
`changed_ms`: when it got there; `until_ms`: how long a previous one stays usable. Several accounts of one upstream
differ by `label`; `aside_ms`: since when the provider refuses it. Ids are never given twice: stored objects name
them."""

revisions = Table(
    "revisions",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("created_ms", Ms, nullable=False),
    Column("actor", Text, nullable=False),
    Column("snapshot", Text, nullable=False),
    *_vouched(),
)

prices = Table(
    "prices",
    metadata,
    _id(),
    Column("upstream", Text),
    Column("catalogue", Text),
    Column("model", Text, nullable=False),
    Column("match", Text),
    Column("rates", Text, nullable=False),
    Column("from_ms", Ms, nullable=False),
    Column("source", Text, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
    Column("recorded_ms", Ms, nullable=False),
    *_vouched(),
    Index("ix_prices_lookup", "upstream", "catalogue", "model", "from_ms"),
)
"""Append-only. `upstream` is set for own prices, `catalogue` (+ `match`, a JSON clause) for catalogue prices."""

aliases = Table("aliases", metadata, _id(), Column("name", Text, nullable=False, unique=True))

targets = Table(
    "targets",
    metadata,
    _id(),
    Column("upstream", Text, nullable=False),
    Column("model", Text, nullable=False),
    UniqueConstraint("upstream", "model"),
)

open_attempts = Table(
    "open_attempts",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("number", SmallInteger, primary_key=True),
    Column("started_ms", Ms, nullable=False),
    Column("worker", Text, nullable=False),
    Column("key_id", Id, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("alias_id", Id, nullable=False),
    Column("target_id", Id, nullable=False),
    Column("dialect", Text, nullable=False),
    Column("stream", SmallInteger, nullable=False),
    Column("bound_pico", Pico),
    Column("multiplier_ppm", BigInteger, nullable=False),
    Column("project_id", Id, nullable=False, server_default="0"),
    Column("balance_id", Id),
    Column("hold_pico", Pico),
    Column("tags", Text),
    sqlite_with_rowid=False,
)
"""`project_id`: who pays, 0 where it is the key's own project. `hold_pico`: what was held for it, at the customer's
price; `balance_id`: the balance it was held on. `tags`: the request's own, as JSON."""

attempts = Table(
    "attempts",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("number", SmallInteger, primary_key=True),
    Column("started_ms", Ms, nullable=False),
    Column("key_id", Id, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("alias_id", Id, nullable=False),
    Column("target_id", Id, nullable=False),
    Column("dialect", Text, nullable=False),
    Column("stream", SmallInteger, nullable=False),
    Column("outcome", SmallInteger, nullable=False),
    Column("final", SmallInteger, nullable=False),
    Column("status", SmallInteger),
    Column("basis", SmallInteger, nullable=False),
    Column("input", BigInteger),
    Column("cached_input", BigInteger),
    Column("cache_write", BigInteger),
    Column("cache_write_1h", BigInteger),
    Column("output", BigInteger),
    Column("reasoning", BigInteger),
    Column("audio_input", BigInteger),
    Column("audio_output", BigInteger),
    Column("images", BigInteger),
    Column("price_id", Id),
    Column("cost_pico", Pico),
    Column("charge_pico", Pico),
    Column("bound_pico", Pico),
    Column("first_content_ms", Integer),
    Column("total_ms", Integer),
    Column("error_code", Text),
    Column("error_text", Text),
    Column("provider_request_id", Text),
    Column("project_id", Id, nullable=False, server_default="0"),
    Column("balance_id", Id),
    Column("hold_pico", Pico),
    Column("doubt_pico", Pico),
    Column("tags", Text),
    sqlite_with_rowid=False,
)
"""Immutable, but for `final`: recovery sets it on an attempt that turned out to be the last. Request ids sort by time,
so the primary key pages newest first and cuts by age without another index. `doubt_pico`: what nobody is charged for
and the provider may have taken all the same; counted against hard budgets and balances."""

SUMS: Final = (
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
    "doubt_pico",
    "unknown_cost",
    "free",
    "basis_unknown",
    "basis_provider",
    "basis_tokenizer",
    "basis_estimate",
    *(f"first_{i}" for i in range(len(LATENCY_BOUNDS_MS) + 1)),
    *(f"total_{i}" for i in range(len(LATENCY_BOUNDS_MS) + 1)),
)
"""What totals add up. `first_i`: attempts whose first content came in bucket i; `total_i`: served attempts whose answer
ended in bucket i. The other sums are defined in `keyvault.domain.reports.Totals`."""


def _totals(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("bucket", Integer, primary_key=True),
        Column("key_id", Id, primary_key=True),
        Column("alias_id", Id, primary_key=True),
        Column("target_id", Id, primary_key=True),
        Column("project_id", Id, primary_key=True, server_default="0"),
        *(_count(s) for s in SUMS),
        sqlite_with_rowid=False,
    )


totals_minute = _totals("totals_minute")
totals_quarter = _totals("totals_quarter")
totals_day = _totals("totals_day")
"""`bucket`: minutes, quarters of an hour, or UTC days, since the epoch. Minutes are kept for some days only; quarters
make any time zone's day exact; days make long reports quick. `project_id`: as in `open_attempts`."""

ledger_changes = Table(
    "ledger_changes",
    metadata,
    Column("worker", Text, primary_key=True),
    _count("changes"),
    sqlite_with_rowid=False,
)
"""How many transactions each worker's ledger has committed; their sum tells readers whether anything is new."""

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
    _id(),
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

budgets = Table(
    "budgets",
    metadata,
    _id(),
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
    *_vouched(),
    UniqueConstraint("scope_kind", "scope_id", "model", "env", "period"),
    sqlite_autoincrement=True,
)
"""`scope_kind`: customer, project or key. `model`: a pattern of aliases, empty for all. `thresholds`: percents, as
JSON."""

limits = Table(
    "limits",
    metadata,
    _id(),
    Column("scope_kind", Text, nullable=False),
    Column("scope_id", Id, nullable=False),
    Column("model", Text, nullable=False, server_default=""),
    Column("rpm", BigInteger),
    Column("tpm", BigInteger),
    Column("parallel", Integer),
    Column("created_ms", Ms, nullable=False),
    *_vouched(),
    UniqueConstraint("scope_kind", "scope_id", "model"),
    sqlite_autoincrement=True,
)
"""Requests a minute, tokens a minute, requests at once; NULL: not limited."""

balances = Table(
    "balances",
    metadata,
    _id(),
    Column("scope_kind", Text, nullable=False),
    Column("scope_id", Id, nullable=False),
    Column("env", Text, nullable=False),
    Column("funded_pico", Pico, nullable=False, server_default="0"),
    Column("entries", Integer, nullable=False, server_default="0"),
    Column("head", LargeBinary),
    Column("released_pico", Pico, nullable=False, server_default="0"),
    Column("low_pico", Pico),
    Column("created_ms", Ms, nullable=False),
    *_vouched(),
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
    _count("taken_ms"),
)
"""One row (id 1): the worker that may spend from hard budgets and balances; there is one at a time."""

affinities = Table(
    "affinities",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("target_id", Id, nullable=False),
    Column("at_ms", Ms, nullable=False),
    Index("ix_affinities_at_ms", "at_ms"),
    sqlite_with_rowid=False,
)
"""Which target made a piece of conversation state that only it can read; by digest, never the state itself."""

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
