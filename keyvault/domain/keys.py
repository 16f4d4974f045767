"""Customers, projects and downstream keys, and what a key may do.

A key has a stable id, a name and a policy; its secret comes in generations. Which generation is usable at a moment is
decided here, by pure rules, for the proxy and the commands alike.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Final

from keyvault.domain.endpoints import Dialect
from keyvault.domain.networks import admits, check_networks
from keyvault.domain.scopes import Payer
from keyvault.errors import UsageError

DEFAULT_PROJECT: Final = "default/default"
ENVIRONMENTS: Final = ("live", "test")
ATTRIBUTIONS: Final = ("", "projects", "customers")
PPM: Final = 1_000_000
MAX_BOUND_PICO: Final = 10**16
RESTORABLE: Final = timedelta(days=7)
"""How long a deleted key can be brought back."""
LONGEST_ROTATION_S: Final = 3650 * 86_400

_MODEL_GLOB = re.compile(r"[\x21-\x2b\x2d-\x7e]{1,200}\Z")


class KeyState(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    DELETED = "deleted"
    EXPIRED = "expired"
    """Never stored: what `active` or `suspended` reads as once `expires_at` has passed."""


class GenerationState(StrEnum):
    PENDING = "pending"
    ACTIVE = "active"
    GRACE = "grace"
    EXPIRED = "expired"
    """Never stored: what `grace` reads as once `valid_until` has passed."""
    ABANDONED = "abandoned"
    REVOKED = "revoked"
    """What a usable generation of a revoked key reads as."""


@dataclass(frozen=True, slots=True)
class Customer:
    id: int
    name: str
    created_at: datetime
    suspended: bool = False
    multiplier_ppm: int = 1_000_000
    """Charge = cost × multiplier, in millionths: 1_150_000 is 1.15."""
    tags: dict[str, str] = field(default_factory=dict)
    never_capture: bool = False
    """Nothing it pays for, and nothing its keys send, is ever captured."""


@dataclass(frozen=True, slots=True)
class Project:
    id: int
    customer_id: int
    customer: str
    name: str
    created_at: datetime
    suspended: bool = False
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return f"{self.customer}/{self.name}"


@dataclass(frozen=True, slots=True)
class Policy:
    """What a key may do. Empty `models` means every model."""

    models: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ("default",)
    """`("default",)`: the known, stateless endpoints; `("all",)`: every path; else a list of dialect names."""
    expose: bool = False
    """Answers tell target, attempts and cost."""
    pin: bool = False
    """May choose a target by `x-gateway-pin`."""
    addresses: tuple[str, ...] = ()
    """Networks such as `10.0.0.0/8` or `2001:db8::/32` it may call from; empty: from everywhere."""
    isolation: bool = True
    """With every endpoint open, sees only objects that its own project made."""
    rotate_every_s: int | None = None
    """A new secret is due after so many seconds; None: never by itself."""
    attribute: str = ""
    """Whom a request may name as its payer: nobody, `projects` of the same customer, or any of all `customers`."""
    clamp: bool = False
    """A cap on output that the money does not cover is lowered instead of refused."""
    bound_pico: int | None = None
    """What a request costs at most whose cost has no bound, at the customer's price; None: such requests are refused
    where money must not be overspent."""
    free_aborts: bool = False
    """Nothing is charged for an answer whose client left before its end."""

    def allows_model(self, model: str) -> bool:
        return not self.models or any(fnmatch.fnmatchcase(model, glob) for glob in self.models)

    def allows_dialect(self, dialect: Dialect) -> bool:
        if "all" in self.endpoints:
            return True
        if dialect is Dialect.OTHER:
            return False
        return "default" in self.endpoints or dialect.value in self.endpoints

    def allows_address(self, address: str) -> bool:
        return not self.addresses or admits(self.addresses, address)


class Unchanged(Enum):
    """Says that a value which may be None is left as it is."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """What of a policy becomes another; what is `UNCHANGED` stays."""

    models: tuple[str, ...] | Unchanged = UNCHANGED
    endpoints: tuple[str, ...] | Unchanged = UNCHANGED
    expose: bool | Unchanged = UNCHANGED
    pin: bool | Unchanged = UNCHANGED
    addresses: tuple[str, ...] | Unchanged = UNCHANGED
    isolation: bool | Unchanged = UNCHANGED
    rotate_every_s: int | Unchanged | None = UNCHANGED
    attribute: str | Unchanged = UNCHANGED
    clamp: bool | Unchanged = UNCHANGED
    bound_pico: int | Unchanged | None = UNCHANGED
    free_aborts: bool | Unchanged = UNCHANGED

    def applied(self, policy: Policy) -> Policy:
        """The checked policy that comes of `policy`. Raises `UsageError`."""
        given = {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not UNCHANGED}
        return check_policy(replace(policy, **given))


def check_policy(policy: Policy) -> Policy:
    """`policy`, written in one way, if globs are printable, endpoints known and addresses networks, else `UsageError`.

    A glob that matches every model makes a list of models no restriction.
    """
    for glob in policy.models:
        if not _MODEL_GLOB.match(glob):
            raise UsageError(f"not a pattern of model names: {glob[:70]!a}", hint="write it like gpt-5* or claude-*")
    known = ("default", "all", *(dialect.value for dialect in Dialect if dialect is not Dialect.OTHER))
    for endpoint in policy.endpoints:
        if endpoint not in known:
            raise UsageError(f"no such endpoint: {endpoint[:70]!a}", hint=f"one of {', '.join(known)}")
    if not policy.endpoints:
        raise UsageError("a key needs an endpoint", hint=f"one of {', '.join(known)}")
    if policy.rotate_every_s is not None and not 0 < policy.rotate_every_s <= LONGEST_ROTATION_S:
        raise UsageError("a key is rotated every 1s to 3650d", hint="--rotate-every 30d")
    if policy.bound_pico is not None and not 0 < policy.bound_pico <= MAX_BOUND_PICO:
        raise UsageError("a request's own bound is more than 0 and at most 10,000 dollars", hint="--bound 0.50")
    if policy.attribute not in ATTRIBUTIONS:
        raise UsageError(f"no such attribution: {policy.attribute[:70]!a}", hint="customers, projects or none")
    models = () if "*" in policy.models else tuple(dict.fromkeys(policy.models))
    endpoints = tuple(dict.fromkeys(policy.endpoints))
    return replace(policy, models=models, endpoints=endpoints, addresses=check_networks(policy.addresses))


def multiplier_ppm(multiplier: Decimal) -> int:
    """A charge multiplier such as 1.15 in millionths; 0 to 1000, at most six decimals, else `UsageError`."""
    ppm = multiplier * PPM
    if not (ppm.is_finite() and 0 <= ppm <= 1000 * PPM and ppm == int(ppm)):
        raise UsageError(f"not a multiplier: {multiplier}", hint="0 to 1000 with at most six decimals, such as 1.15")
    return int(ppm)


@dataclass(frozen=True, slots=True)
class Generation:
    number: int
    state: GenerationState
    masked: str
    created_at: datetime
    activated_at: datetime | None = None
    valid_until: datetime | None = None
    last_used_at: datetime | None = None
    last_client: str | None = None
    last_address: str | None = None
    grace: timedelta | None = None
    """How long the generation before this one stays usable once this one is active."""
    adopted: bool = False
    """A token of another gateway, in its own form: due for rotation."""

    def state_at(self, now: datetime) -> GenerationState:
        """The state as it counts at `now`: a grace that has passed shows."""
        if self.state is GenerationState.GRACE and self.valid_until is not None and self.valid_until <= now:
            return GenerationState.EXPIRED
        return self.state


@dataclass(frozen=True, slots=True)
class Key:
    id: int
    public_id: str
    """12 base62 characters, part of the token."""
    name: str
    project_id: int
    customer: str
    project: str
    env: str
    """`live` or `test`."""
    state: KeyState
    policy: Policy
    tags: dict[str, str]
    created_at: datetime
    expires_at: datetime | None
    generations: tuple[Generation, ...] = ()
    """Newest first."""
    deleted_at: datetime | None = None
    suspended_by: str | None = None
    """What above it is suspended, so that it is refused whatever its own state: `all`, `customer:acme`, …"""

    @property
    def restorable_until(self) -> datetime | None:
        """Until when it can be brought back; None for a key that is not deleted."""
        return None if self.deleted_at is None else self.deleted_at + RESTORABLE

    def state_at(self, now: datetime) -> KeyState:
        """The state as it counts at `now`: an expiry that has passed shows."""
        if (
            self.state in (KeyState.ACTIVE, KeyState.SUSPENDED)
            and self.expires_at is not None
            and self.expires_at <= now
        ):
            return KeyState.EXPIRED
        return self.state

    @property
    def rotation_due_at(self) -> datetime | None:
        """When a new secret is due, None where the policy does not say; a token of another gateway is due at once."""
        newest = next((g for g in self.generations if g.state is GenerationState.ACTIVE), None)
        if newest is None:
            return None
        if newest.adopted:
            return newest.created_at
        every = self.policy.rotate_every_s
        return None if every is None else newest.created_at + timedelta(seconds=every)

    def generation(self, number: int) -> Generation | None:
        return next((g for g in self.generations if g.number == number), None)

    def generation_in(self, state: GenerationState, now: datetime) -> Generation | None:
        """The one generation that is `pending`, `active` or in `grace` at `now`; there is never a second."""
        return next((g for g in self.generations if g.state_at(now) is state), None)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling: one usable generation of a key, with all that a request is decided by."""

    key_id: int
    key_name: str
    public_id: str
    generation: int
    customer_id: int
    customer: str
    project: str
    """The project's own name, without the customer."""
    project_id: int
    env: str
    policy: Policy
    multiplier_ppm: int
    tags: Mapping[str, str]

    @property
    def payer(self) -> Payer:
        """Its own project and customer."""
        return Payer(self.customer_id, self.customer, self.project_id, self.project, self.multiplier_ppm)
