"""The noun `keys`, and how its verbs show a key."""

from __future__ import annotations

from datetime import datetime, timedelta

from keyvault.clock import rfc3339
from keyvault.domain.keys import Generation, GenerationState, Key
from keyvault.domain.names import exact_duration
from keyvault.money import format_usd
from opsconsole.cli.output import Column, Details, Listing, Row
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import Noun

keys = Noun(
    "keys",
    "Keys that applications call the gateway with.",
    examples="gwctl keys create ci-bot\ngwctl keys rotate ci-bot --grace 24h\ngwctl keys list",
    modules={
        "creating": ("create",),
        "adopting": ("adopt",),
        "exchange": ("export", "import"),
        "finding": ("scan", "identify"),
        "grace": ("end-grace", "extend-grace", "acknowledge"),
        "looking": ("list", "show"),
        "updating": ("update",),
        "rotation": ("rotate",),
        "stopping": ("revoke", "suspend", "resume", "delete", "restore"),
        "verifying": ("verify",),
    },
)

ONLY_FOR_PROGRAMS = frozenset({"id"})
SELDOM = frozenset({"old_secret", "rotation_due_at", "suspended_by", "deleted_at", "restorable_until"})
"""Fields that a person is shown only where they say something."""


def shown_to_programs(row: Row) -> frozenset[str]:
    """The fields of a key's row that its card leaves out."""
    return ONLY_FOR_PROGRAMS | {name for name in SELDOM if row.get(name) is None}


def show_key(session: Session, key: Key) -> None:
    """A key and its generations."""
    now = session.home.clock.now()
    columns = [
        Column("generation"),
        Column("state"),
        Column("masked", "SECRET"),
        Column("valid_until"),
        Column("last_used_at", "LAST USED"),
        Column("last_client", "BY"),
        Column("last_address", "FROM"),
    ]
    generations = Listing("generations", [_generation(g, now) for g in key.generations], columns, key="generation")
    row = {**key_row(key, now), "old_secret": old_secret(key, now)}
    session.show(Details(row, omit=shown_to_programs(row), inner=[generations]))


def key_row(key: Key, now: datetime) -> Row:
    """A key for people and programs, without its secret."""
    current = key.generation_in(GenerationState.ACTIVE, now) or (key.generations[0] if key.generations else None)
    used = [g.last_used_at for g in key.generations if g.last_used_at is not None]
    return {
        "id": key.public_id,
        "name": key.name,
        "state": key.state_at(now).value,
        "customer": key.customer,
        "project": f"{key.customer}/{key.project}",
        "env": key.env,
        "masked": current.masked if current else None,
        "models": key.policy.models,
        "endpoints": key.policy.endpoints,
        "addresses": key.policy.addresses,
        "rotate_every": _span(key.policy.rotate_every_s),
        "isolation": key.policy.isolation,
        "expose": key.policy.expose,
        "pin": key.policy.pin,
        "attribute": key.policy.attribute or None,
        "clamp": key.policy.clamp,
        "bound": None if key.policy.bound_pico is None else format_usd(key.policy.bound_pico),
        "abort": "free" if key.policy.free_aborts else "charge",
        "tags": key.tags,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": max(used, default=None),
        "rotation_due_at": key.rotation_due_at,
        "suspended_by": key.suspended_by,
        "deleted_at": key.deleted_at,
        "restorable_until": key.restorable_until,
    }


def old_secret(key: Key, now: datetime) -> str | None:
    """Who still uses the secret before the current one: the sentence that says whether everybody has switched.

    None where none works any more.
    """
    old = key.generation_in(GenerationState.GRACE, now)
    if old is None:
        return None
    until = f"works until {rfc3339(old.valid_until)}"
    current = key.generation_in(GenerationState.ACTIVE, now)
    if old.last_used_at is None:
        return f"never used; {until}"
    by, at = (
        f"by {old.last_client or 'an unnamed client'} from {old.last_address or 'somewhere'}",
        rfc3339(old.last_used_at),
    )
    if current and current.activated_at and old.last_used_at < current.activated_at:
        return f"not used since the new one took over, last {at} {by}; {until}"
    return f"STILL USED, last {at} {by}; {until}"


def _span(seconds: int | None) -> str | None:
    return None if seconds is None else exact_duration(timedelta(seconds=seconds))


def _generation(generation: Generation, now: datetime) -> Row:
    return {
        "generation": generation.number,
        "state": generation.state_at(now).value,
        "masked": generation.masked,
        "created_at": generation.created_at,
        "activated_at": generation.activated_at,
        "valid_until": generation.valid_until,
        "last_used_at": generation.last_used_at,
        "adopted": generation.adopted,
        "last_client": generation.last_client,
        "last_address": generation.last_address,
    }
