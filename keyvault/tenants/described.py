"""Customers, projects and keys as plain values under the names that files use: texts, lists, numbers, true and false.

The same description is exported, written as TOML and compared, so that what is written out reads back as it was.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from keyvault.clock import rfc3339
from keyvault.domain.keys import PPM, Customer, Key, KeyState, Project
from keyvault.domain.names import exact_duration
from keyvault.money import format_usd

NEVER = "never"
NONE = "none"

Description = dict[str, Any]


def customer(found: Customer) -> Description:
    multiplier = format((Decimal(found.multiplier_ppm) / PPM).normalize(), "f")
    return {
        "multiplier": multiplier,
        "suspended": found.suspended,
        "never_capture": found.never_capture,
        "tags": dict(found.tags),
    }


def project(found: Project) -> Description:
    return {"suspended": found.suspended, "tags": dict(found.tags)}


def key(found: Key) -> Description:
    """A key that is not ended, without anything of its secret."""
    policy, every = found.policy, found.policy.rotate_every_s
    return {
        "project": f"{found.customer}/{found.project}",
        "env": found.env,
        "state": "suspended" if found.state is KeyState.SUSPENDED else "active",
        "models": list(policy.models),
        "endpoints": list(policy.endpoints),
        "addresses": list(policy.addresses),
        "expose": policy.expose,
        "pin": policy.pin,
        "isolation": policy.isolation,
        "rotate_every": NEVER if every is None else exact_duration(timedelta(seconds=every)),
        "attribute": policy.attribute or NONE,
        "clamp": policy.clamp,
        "bound": NONE if policy.bound_pico is None else format_usd(policy.bound_pico),
        "abort": "free" if policy.free_aborts else "charge",
        "expires": rfc3339(found.expires_at) or NEVER,
        "tags": dict(found.tags),
    }


def is_live(found: Key) -> bool:
    """Neither revoked nor deleted: files speak of such keys only."""
    return found.state not in (KeyState.REVOKED, KeyState.DELETED)
