"""The schema, one table per thing, for SQLite and PostgreSQL alike; a module for each noun.

Times are integer milliseconds since the epoch, money integer pico-dollars, booleans integers 0/1, JSON text. Names
carry a folded twin that is unique. Every change here needs a migration; a test compares the two.
"""

from keyvault.storage.schema.captures import captures, uncaptured
from keyvault.storage.schema.columns import metadata
from keyvault.storage.schema.drills import drills
from keyvault.storage.schema.money import balance_entries, balance_spending, balances, budgets, limits, prices, purse
from keyvault.storage.schema.operation import acknowledgements, alerts, audit, commands, epochs, meta, workers
from keyvault.storage.schema.providers import credentials, objects, paid_work, upstreams
from keyvault.storage.schema.rollouts import rollout_looks, rollout_requests, rollouts
from keyvault.storage.schema.routing import affinities, revisions
from keyvault.storage.schema.statements import adjustments, repricings, statements
from keyvault.storage.schema.tenancy import customers, gateway, key_generations, keys, projects
from keyvault.storage.schema.usage import (
    SUMS,
    aliases,
    attempts,
    ledger_changes,
    open_attempts,
    targets,
    totals_day,
    totals_minute,
    totals_quarter,
)
from keyvault.storage.schema.vault import sealed_records, unsealed, vault_generations, vault_slots

__all__ = [
    "SUMS",
    "acknowledgements",
    "adjustments",
    "affinities",
    "alerts",
    "aliases",
    "attempts",
    "audit",
    "balance_entries",
    "balance_spending",
    "balances",
    "budgets",
    "captures",
    "commands",
    "credentials",
    "customers",
    "drills",
    "epochs",
    "gateway",
    "key_generations",
    "keys",
    "ledger_changes",
    "limits",
    "meta",
    "metadata",
    "objects",
    "open_attempts",
    "paid_work",
    "prices",
    "projects",
    "purse",
    "repricings",
    "revisions",
    "rollout_looks",
    "rollout_requests",
    "rollouts",
    "sealed_records",
    "statements",
    "targets",
    "totals_day",
    "totals_minute",
    "totals_quarter",
    "uncaptured",
    "unsealed",
    "upstreams",
    "vault_generations",
    "vault_slots",
    "workers",
]
