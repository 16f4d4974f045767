"""Makes alerts of what a worker sees and notices, and ends them by itself.

Once a second it looks. What is seen for the first time is raised, what is no longer seen is resolved, also what an
earlier process has raised. What requests noticed (`noticed`) is an event: raised and counted, and over when it has not
happened for a day. While the database cannot be written, what is to be told waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import partial
from typing import Final, Protocol

import structlog

from keyvault.alerts import Alerts
from keyvault.clock import Clock
from keyvault.domain.routes import Target
from keyvault.metering.ledger import Ledger
from keyvault.proxy import sights
from keyvault.proxy.metrics import OTHER, Metrics
from keyvault.proxy.sights import Sight
from keyvault.proxy.supervision import Chore
from keyvault.proxy.tables import Tables

log = structlog.get_logger()

EVENTS: Final = frozenset({"cost_beyond_hold"})
QUIET: Final = timedelta(days=1)
QUIETED_EVERY_SECONDS: Final = 60.0


class Sees(Protocol):
    """What a worker looks with."""

    def look(self) -> Iterable[Sight]: ...

    def accounts(self) -> Iterable[Sight]: ...

    def noticed(self) -> Mapping[tuple[str, str], str]: ...


class Eyes:
    """What this worker can see now, for the event loop's thread; budgets and balances any thread may look at."""

    def __init__(self, clock: Clock, tables: Tables, metrics: Metrics, ledger: Ledger) -> None:
        self._clock = clock
        self._tables = tables
        self._metrics = metrics
        self._ledger = ledger
        self._of_ledger = sights.LedgerSight()

    def look(self) -> list[Sight]:
        """Everything but the accounts."""
        ledger, metrics = self._ledger, self._metrics
        unknown = [t for t, counts in metrics.targets.items() if counts.unknown_cost and t != OTHER]
        return [
            *sights.upstreams(self._tables.health.opened),
            *(sights.prices(unknown, self._priced()) if unknown else ()),
            *self._of_ledger.look(healthy=ledger.healthy, depth=ledger.depth, written=ledger.written),
        ]

    def accounts(self) -> list[Sight]:
        return list(sights.accounts(self._tables.accounts.every))

    def noticed(self) -> Mapping[tuple[str, str], str]:
        return self._tables.noticed.take()

    def _priced(self) -> Callable[[Target], bool]:
        lists = {upstream.name: upstream.catalogue for upstream in self._tables.serving()}
        book, now_ms = self._tables.prices, self._clock.now_ms()

        def priced(target: Target) -> bool:
            known = target.upstream in lists
            return not known or book.find(target.upstream, lists[target.upstream], target.model, now_ms) is not None

        return priced


class Alerting:
    """What a worker does about what it sees, each second."""

    def __init__(self, alerts: Alerts, clock: Clock, eyes: Sees) -> None:
        self._alerts = alerts
        self._clock = clock
        self._eyes = eyes
        self._told: set[tuple[str, str]] | None = None
        """What is raised and not over; None before the first look."""
        self._waiting: dict[tuple[str, str], Sight] = {}
        """Seen, and not raised yet."""
        self._events: dict[tuple[str, str], str] = {}
        self._quieted: float | None = None

    def look(self) -> Chore:
        """Look, and have what is to be told told."""
        self._events.update(self._eyes.noticed())
        return partial(self._tell, self._eyes.look())

    def _tell(self, found: Iterable[Sight]) -> None:
        seen = {sight.of: sight for sight in (*found, *self._eyes.accounts())}
        if self._told is None:
            self._told = self._inherited(seen.values())
        self._waiting.update({of: sight for of, sight in seen.items() if of not in self._told})
        for of, sight in list(self._waiting.items()):
            self._alerts.raise_alert(*of, sight.text)
            self._told.add(of)
            del self._waiting[of]
        for of in self._told - seen.keys():
            if self._alerts.resolve(*of):
                log.info("alert is over", kind=of[0], scope=of[1])
            self._told.discard(of)
        self._tell_events()

    def _inherited(self, seen: Iterable[Sight]) -> set[tuple[str, str]]:
        """What an earlier process has raised: what is still open, and what was told once and dealt with."""
        alerts = self._alerts
        told = {(alert.kind, alert.scope) for alert in alerts.every_open() if alert.kind in sights.KINDS}
        dated = [(sight.of, sight.once_since_ms) for sight in seen]
        return told | {of for of, since in dated if since is not None and alerts.raised_since(*of, since)}

    def _tell_events(self) -> None:
        alerts, now = self._alerts, self._clock.monotonic()
        for (kind, scope), text in list(self._events.items()):
            alerts.raise_alert(kind, scope, text)
            del self._events[kind, scope]
        if self._quieted is None or now - self._quieted >= QUIETED_EVERY_SECONDS:
            self._quieted = now
            alerts.resolve_silent(EVENTS, QUIET)
