"""Rows that are vouched for, in plain words."""

from __future__ import annotations

from typing import Final

from keyvault.storage.seals import SealedRow

_NOUNS: Final = {"keys": "key", "customers": "customer", "projects": "project", "upstreams": "upstream"}

_OF_SCOPES: Final = {"budgets": "budget", "limits": "limit", "balances": "balance"}

_BY_NUMBER: Final = {"repricings": "repricing", "adjustments": "adjustment"}


def described(row: SealedRow) -> str:
    """A row in plain words, such as `key ci-bot`."""
    fields = dict(row.fields)
    if row.name in _NOUNS:
        return f"{_NOUNS[row.name]} {fields['name']}"
    if row.name == "gateway":
        return "the switch that suspends everybody"
    if row.name == "credentials":
        return f"credential {fields['label']} (number {row.id})"
    if row.name in _OF_SCOPES:
        return f"{_OF_SCOPES[row.name]} number {row.id} of {fields['scope_kind']} number {fields['scope_id']}"
    if row.name == "statements":
        return f"{str(fields['kind']).replace('_', ' ')} {fields['number']}"
    if row.name in _BY_NUMBER:
        return f"{_BY_NUMBER[row.name]} number {row.id}"
    if row.name == "captures":
        return f"capture {row.id}"
    if row.name == "uncaptured":
        return f"the mark by which nothing is captured of customer number {fields['customer_id']}"
    if row.name == "rollouts":
        return f"the rollout of {fields['alias']} (number {row.id})"
    if row.name == "prices":
        return f"the price of {fields['model']} (number {row.id})"
    return f"revision {row.id} of the routes"
