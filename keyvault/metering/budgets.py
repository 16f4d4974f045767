"""The budgets as people see and change them.

A scope has one budget for each period, pattern of models and environment; setting it again changes it. Every change is
one transaction with its audit entry, and running proxies act by it at the next request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from keyvault import audit
from keyvault.clock import Clock, from_ms
from keyvault.domain.budgets import DEFAULT_THRESHOLDS, Budget, Period, check_amount
from keyvault.domain.keys import ENVIRONMENTS
from keyvault.domain.scopes import Scope, ScopeKind, ScopeRef, check_pattern
from keyvault.errors import Conflict, NotFound, UsageError
from keyvault.metering.held import held_on
from keyvault.metering.spans import zone_of
from keyvault.metering.spent import spent_in
from keyvault.money import CURRENCY, format_usd
from keyvault.storage import budgets as rows
from keyvault.storage import epochs, keys, scopes
from keyvault.storage.engine import Database, Transaction

MOST_PERCENT: Final = 1_000


@dataclass(frozen=True, slots=True)
class Terms:
    """What somebody wants of a budget. None: as it was, or else as usual: hard, UTC, alerts at 80 and 100 percent."""

    amount_pico: int
    period: Period
    model: str = ""
    env: str | None = None
    """None: the key's own, or else `live`."""
    hard: bool | None = None
    zone: str | None = None
    thresholds: tuple[int, ...] | None = None

    def checked(self) -> Terms:
        """The same, written in one way. Raises `UsageError`."""
        if self.amount_pico <= 0:
            raise UsageError("a budget of nothing", hint="to let nothing through: gwctl suspend SCOPE")
        check_amount(self.amount_pico)
        model = check_pattern(self.model)
        if self.env is not None and self.env not in ENVIRONMENTS:
            raise UsageError(f"no such environment: {self.env[:20]!a}", hint="live or test")
        if self.zone is not None:
            zone_of(self.zone)
        thresholds = self.thresholds and tuple(sorted(set(self.thresholds)))
        if thresholds and not 0 < thresholds[0] <= thresholds[-1] <= MOST_PERCENT:
            raise UsageError("not a percentage to warn at", hint=f"1 to {MOST_PERCENT}, such as 50,80,100")
        return replace(self, model=model, thresholds=thresholds)


@dataclass(frozen=True, slots=True)
class Standing:
    """A budget and how much of it is gone in its present period."""

    budget: Budget
    spent_pico: int
    """Charged, and in doubt."""
    held_pico: int | None
    """For requests under way, as the workers told within the last seconds; None: none runs."""
    from_at: datetime
    until_at: datetime | None
    """When its present period ends; None: never."""

    @property
    def remaining_pico(self) -> int:
        return max(0, self.budget.amount_pico - self.spent_pico - (self.held_pico or 0))

    @property
    def percent(self) -> int:
        """Of the amount, rounded down."""
        return self.spent_pico * 100 // self.budget.amount_pico


class Budgets:
    """The service behind `gwctl budgets`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def set(self, scope: Scope, terms: Terms) -> Standing:
        """Make or change the budget of a scope for these models, this environment and this period; how much of it is
        spent already. Raises `NotFound`, `UsageError`."""
        terms = terms.checked()
        with self._database.change() as tx:
            budget = put(tx, self._clock, scopes.find(tx, scope), terms)
            return self._standings(tx, [budget])[0]

    def of_new_key(self, terms: Terms) -> Callable[[Transaction, ScopeRef], object]:
        """What gives a key that is being made its budget, in the transaction that makes it. Raises `UsageError`."""
        terms = terms.checked()
        return lambda tx, key: put(tx, self._clock, key, terms)

    def list(self, scope: Scope | None = None) -> Sequence[Standing]:
        """All budgets, or those of one scope, in the order in which they were made. Raises `NotFound`."""
        with self._database.read() as tx:
            ref = None if scope is None else scopes.find(tx, scope)
            return self._standings(tx, [b for b in rows.every(tx) if ref is None or _same(b.scope, ref)])

    def show(
        self, scope: Scope, period: Period | None = None, *, model: str | None = None, env: str | None = None
    ) -> Standing:
        """The one budget that is meant. Raises `NotFound`, and `Conflict` where several fit."""
        with self._database.read() as tx:
            return self._standings(tx, [_meant(tx, scope, period, model, env)])[0]

    def delete(
        self, scope: Scope, period: Period | None = None, *, model: str | None = None, env: str | None = None
    ) -> Budget:
        """Take a budget away: what it capped is capped no more. Raises `NotFound`, `Conflict`."""
        with self._database.change() as tx:
            budget = _meant(tx, scope, period, model, env)
            rows.delete(tx, budget.id)
            epochs.bump(tx, "money")
            audit.record(tx, self._clock, "budgets.delete", str(budget.scope), **_identity(budget))
            return budget

    def _standings(self, tx: Transaction, found: Sequence[Budget]) -> Sequence[Standing]:
        now_ms = self._clock.now_ms()
        spent, held = spent_in(tx, found, now_ms), held_on(tx, "budgets", now_ms)
        return [standing(budget, spent[budget.id].pico, held, now_ms) for budget in found]


def put(tx: Transaction, clock: Clock, scope: ScopeRef, terms: Terms) -> Budget:
    """Make or change a budget, checked before, in a transaction that its caller opened."""
    env = _env(tx, scope, terms.env)
    known = rows.find(tx, scope, terms.model, env, terms.period)
    before = known or Budget(
        id=0,
        scope=scope,
        model=terms.model,
        env=env,
        period=terms.period,
        zone="UTC",
        amount_pico=0,
        hard=True,
        thresholds=DEFAULT_THRESHOLDS,
        created_at=clock.now(),
    )
    budget = replace(
        before,
        amount_pico=terms.amount_pico,
        zone=before.zone if terms.zone is None else terms.zone,
        hard=before.hard if terms.hard is None else terms.hard,
        thresholds=before.thresholds if terms.thresholds is None else terms.thresholds,
    )
    if known is None:
        budget = replace(budget, id=rows.insert(tx, budget))
    elif budget != known:
        rows.update(tx, budget)
    else:
        return budget
    epochs.bump(tx, "money")
    terms_now = {"amount": format_usd(budget.amount_pico), "currency": CURRENCY, "hard": budget.hard}
    more = {"zone": budget.zone, "thresholds": list(budget.thresholds)}
    audit.record(tx, clock, "budgets.set", str(scope), **_identity(budget), **terms_now, **more)
    return budget


def _env(tx: Transaction, scope: ScopeRef, asked: str | None) -> str:
    """The environment whose charges count. A key has but one. Raises `UsageError`."""
    if scope.kind is not ScopeKind.KEY:
        return asked or "live"
    key = keys.find_by_id(tx, scope.id)
    own = key.env if key else "live"
    if asked not in (None, own):
        raise UsageError(f"{scope} is a {own} key: none of its charges are {asked}", hint=f"--env {own}")
    return own


def _identity(budget: Budget) -> Mapping[str, object]:
    return {"period": budget.period, "model": budget.model, "env": budget.env}


def _same(one: ScopeRef, other: ScopeRef) -> bool:
    return (one.kind, one.id) == (other.kind, other.id)


def _meant(tx: Transaction, scope: Scope, period: Period | None, model: str | None, env: str | None) -> Budget:
    ref = scopes.find(tx, scope)
    of_scope = [budget for budget in rows.every(tx) if _same(budget.scope, ref)]
    pattern = None if model is None else check_pattern(model)
    fit = [b for b in of_scope if period in (None, b.period) and pattern in (None, b.model) and env in (None, b.env)]
    if not fit:
        hint = f"gwctl budgets list {ref}" if of_scope else f"gwctl budgets set {ref} 10usd/month"
        raise NotFound(f"{ref} has no such budget", hint=hint)
    if len(fit) > 1:
        raise Conflict(f"{ref} has {len(fit)} such budgets", hint="say which: PERIOD, --model PATTERN, --env live|test")
    return fit[0]


def standing(budget: Budget, spent_pico: int, held: Mapping[int, int] | None, now_ms: int) -> Standing:
    """How a budget stands in the period of a moment."""
    return standing_in(budget.period.window(now_ms, budget.zone), budget, spent_pico, held)


def standing_in(
    window: tuple[int, int | None], budget: Budget, spent_pico: int, held: Mapping[int, int] | None
) -> Standing:
    """How a budget stands in a period that was found out before: of many budgets it is the same."""
    start, end = window
    held_pico = None if held is None else held.get(budget.id, 0)
    return Standing(budget, spent_pico, held_pico, from_ms(start), None if end is None else from_ms(end))
