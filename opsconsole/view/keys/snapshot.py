"""What the Keys view knows at one moment: keys, or the projects or customers they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from keyvault.clock import EPOCH
from keyvault.domain.balances import Balance
from keyvault.domain.budgets import Budget
from keyvault.domain.keys import Generation, GenerationState, Key, KeyState
from keyvault.domain.limits import Limit
from keyvault.domain.scopes import Scope, ScopeKind
from keyvault.keys.defaults import Defaults
from opsconsole.view.snapshot import Question, Snapshot


class KeysBy(StrEnum):
    """What the rows stand for."""

    KEY = "key"
    PROJECT = "project"
    CUSTOMER = "customer"
    DELETED = "deleted"
    """Keys that can still be restored."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """The new secret whose first request somebody waits for."""

    key: str
    generation: int


@dataclass(frozen=True, slots=True)
class KeysQuestion(Question):
    """What the Keys view wants to know. `within`: only what belongs to this customer or project."""

    by: KeysBy = KeysBy.KEY
    within: str = ""
    awaited: Awaited | None = None


@dataclass(frozen=True, slots=True)
class FirstRequest:
    """The first request with a new secret that was served; while none was, the newest."""

    model: str
    status: int | None
    outcome: str
    total_ms: int | None
    at: datetime
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Cap:
    """A budget as it stands."""

    budget: Budget
    spent_pico: int
    held_pico: int | None
    until: datetime | None

    @property
    def share(self) -> float:
        return self.spent_pico / self.budget.amount_pico


@dataclass(frozen=True, slots=True)
class Money:
    """A prepaid balance as it stands."""

    balance: Balance
    held_pico: int | None

    @property
    def available_pico(self) -> int:
        return self.balance.available_pico - (self.held_pico or 0)

    @property
    def is_low(self) -> bool:
        low = self.balance.low_pico
        return self.available_pico <= 0 or (low is not None and self.available_pico < low)


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used of late. Money is what was charged, and what is in doubt, as budgets count it."""

    requests: int = 0
    errors: int = 0
    today_pico: int = 0
    month_pico: int = 0
    unpriced: bool = False
    """Some attempts of this month have a cost that nobody knows."""
    hours: Sequence[int] = ()
    """Requests in each of the last 24 hours of the clock."""

    @property
    def error_share(self) -> float | None:
        return self.errors / self.requests if self.requests else None


NOTHING = Usage()


@dataclass(frozen=True, slots=True)
class Row:
    """What all rows of the view have in common. `caps`, `balances`: all that apply to it, its own first."""

    name: str
    """As people name it; for a project `acme/web`."""
    used: Usage
    caps: tuple[Cap, ...]
    limits: tuple[Limit, ...]
    balances: tuple[Money, ...]

    @property
    def kind(self) -> ScopeKind:
        raise NotImplementedError

    @property
    def scope(self) -> Scope:
        return Scope(self.kind, self.name)

    @property
    def own_caps(self) -> tuple[Cap, ...]:
        return tuple(cap for cap in self.caps if cap.budget.scope.kind is self.kind)

    @property
    def own_limits(self) -> tuple[Limit, ...]:
        return tuple(limit for limit in self.limits if limit.scope.kind is self.kind)

    @property
    def tightest(self) -> Cap | None:
        """The budget of which the largest share is gone."""
        return max(self.caps, key=lambda cap: cap.share, default=None)


@dataclass(frozen=True, slots=True)
class KeyRow(Row):
    """A key."""

    key: Key
    state: KeyState
    """As it counts now."""
    rotating: bool = False
    """A new secret waits for its first use, or the old one works on."""

    @property
    def kind(self) -> ScopeKind:
        return ScopeKind.KEY

    @property
    def project(self) -> str:
        return f"{self.key.customer}/{self.key.project}"

    @property
    def last_used_at(self) -> datetime | None:
        return max((each.last_used_at for each in self.key.generations if each.last_used_at is not None), default=None)

    @property
    def current(self) -> Generation | None:
        """The generation that counts."""
        generations = self.key.generations
        active = next((each for each in generations if each.state is GenerationState.ACTIVE), None)
        return active or (generations[0] if generations else None)


@dataclass(frozen=True, slots=True)
class GroupRow(Row):
    """A project or a customer."""

    of: ScopeKind
    keys: int
    usable: int
    """Of its keys, those that are admitted."""
    suspended: bool
    """It itself is."""
    refused_with: str = ""
    """What is suspended above it."""
    multiplier_ppm: int | None = None
    """Of a customer."""
    last_used_at: datetime | None = None
    projects: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> ScopeKind:
        return self.of


@dataclass(frozen=True, slots=True)
class KeysSnapshot(Snapshot):
    """The answer to a `KeysQuestion`."""

    question: KeysQuestion
    rows: tuple[Row, ...] = ()
    usual: Defaults | None = None
    """What a new key is given where nothing else is said."""
    names: tuple[str, ...] = ()
    """Of every key there is."""
    projects: tuple[str, ...] = ()
    customers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    """Aliases and models that requests may name, as far as they are known."""
    first: FirstRequest | None = None
    """Of the secret that is waited for."""
    suspended_all: bool = False

    def timeless(self) -> KeysSnapshot:
        """Ages are told in minutes, so that a minute later there is something new to see."""
        return replace(self, taken_at=self.taken_at.replace(second=0, microsecond=0) if self.rows else EPOCH)

    def row(self, name: str) -> Row | None:
        return next((row for row in self.rows if row.name == name), None)
