"""A LiteLLM proxy's keys: the JSON of `/key/list` or `/spend/keys`, or its `LiteLLM_VerificationToken` table as CSV.

LiteLLM stores hashes of its keys, so every key gets a new secret here; teams become customers.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from keyvault.domain.names import check_tags, shown
from keyvault.errors import ConfigurationError, UsageError
from keyvault.foreign.draft import Draft
from keyvault.foreign.files import flag, table, texts

PROJECT: Final = "default"
_EVERY_MODEL: Final = frozenset({"all-proxy-models", "all-team-models"})
_NO_MODEL: Final = "no-default-models"
_LIMITS: Final = (
    "max_budget", "budget_duration", "tpm_limit", "rpm_limit", "max_parallel_requests", "model_max_budget",
    "allowed_routes", "allowed_cache_controls", "aliases", "config", "permissions",
)  # fmt: skip


def rows_in(tree: Any, file: str) -> list[Any]:
    """The list of keys in an answer. Raises `ConfigurationError`."""
    found = tree.get("keys", tree.get("data")) if isinstance(tree, dict) else tree
    if not isinstance(found, list):
        raise ConfigurationError(f"{file}: no list of keys", hint="GET /key/list?return_full_object=true")
    if found and all(isinstance(row, str) for row in found):
        hint = "GET /key/list?return_full_object=true"
        raise ConfigurationError(f"{file}: only hashes of keys, without names and models", hint=hint)
    return found


def looks_like_keys(tree: Any) -> bool:
    return isinstance(tree, list) or (isinstance(tree, dict) and ("keys" in tree or "data" in tree))


def read(rows: list[Any], now: datetime) -> Draft:
    draft = Draft()
    teams: dict[str, str] = {}
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            draft.leave_out(f"key {number}", "is no object")
            continue
        _key(draft, teams, number, row, now)
    if draft.keys:
        draft.leave_out("the secrets of all keys", "LiteLLM stores only hashes; every key gets a new secret")
    return draft


def _key(draft: Draft, teams: dict[str, str], number: int, row: Mapping[str, Any], now: datetime) -> None:
    name = draft.name("key", row.get("key_alias"), f"litellm-{number}")
    expires = _moment(row.get("expires"))
    if expires is not None and expires <= now:
        draft.leave_out(f"key {name}", "has expired")
        return
    models = texts(row.get("models"))
    if models == [_NO_MODEL]:
        draft.leave_out(f"key {name}", "may use no model")
        return
    values: dict[str, Any] = {
        "project": f"{_customer(draft, teams, row)}/{PROJECT}",
        "models": [] if _EVERY_MODEL & set(models) else models,
        "expires": expires or row.get("expires") or "never",
        "state": "suspended" if flag(row.get("blocked")) else "active",
        "tags": _tags(draft, name, table(row.get("metadata"))),
    }
    draft.add_key(name, values)
    if lost := [field for field in _LIMITS if row.get(field) not in (None, "", "{}", "[]", {}, [])]:
        draft.leave_out(f"key {name}: {', '.join(lost)}", "budgets, limits and routes of keys are not carried over")


def _customer(draft: Draft, teams: dict[str, str], row: Mapping[str, Any]) -> str:
    team = row.get("team_alias") or row.get("team_id")
    if not isinstance(team, str) or not team:
        return "default"
    if team not in teams:
        teams[team] = draft.name("customer", team, "team")
    return teams[team]


def _tags(draft: Draft, name: str, metadata: Mapping[str, Any]) -> dict[str, str]:
    """The texts among a key's metadata, as far as they can be tags."""
    kept: dict[str, str] = {}
    for field, value in metadata.items():
        try:
            if not isinstance(value, str):
                raise UsageError("is no text")
            kept |= check_tags({field: value})
        except UsageError as error:
            draft.leave_out(f"key {name}: metadata {shown(field)}", error.message)
    return kept


def _moment(value: Any) -> datetime | None:
    """A time, UTC unless it says otherwise; None for what is none: the key is then refused for it."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value.strip().removesuffix(" UTC"))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
