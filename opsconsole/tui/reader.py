"""Reads a home for the console: ledger, workers, and now and then keys and upstreams.

Called in the poller's thread only. A home that is not set up is no error but a snapshot that says so, and the console
comes alive when it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from keyvault.domain.workers import Worker
from opsconsole.view import reading
from opsconsole.view.deltas import Reading, Readings
from opsconsole.view.snapshot import ExpiringKey, Question, Setup, Snapshot
from opsconsole.view.text import printable

if TYPE_CHECKING:
    from keyvault.domain.reports import LiveSnapshot
    from keyvault.home import Home

INVENTORY_AGE: Final = timedelta(seconds=30)
"""Keys and upstreams change rarely and are read this often; every time before the first request."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """What is set up, as of `at`."""

    at: datetime
    upstreams: tuple[str, ...]
    disabled: frozenset[str]
    keys: int
    expiring: tuple[ExpiringKey, ...]


MOST_ALERTS: Final = 20


class HomeReader:
    """Answers questions from a home. `zone`: whose midnight begins `today`, by name."""

    def __init__(self, home: Home, zone: str | None = None) -> None:
        self._home = home
        self._zone = zone or local_zone(home.environ)
        self._readings = Readings()
        self._inventory: Inventory | None = None

    def read(self, question: Question) -> Snapshot:
        """Raises `GatewayError` where the home cannot be read."""
        home = self._home
        now = home.clock.now()
        if not home.exists:
            return Snapshot(question, now, Setup(str(home.paths.data), initialised=False, ever_used=False))
        live = home.reports.live(timedelta(seconds=question.window.seconds), question.by.value, self._zone)
        workers = home.workers.live()
        inventory = self._stock(now, ever_used=live.last_request_at is not None)
        return self._snapshot(question, live, workers, inventory)

    def _snapshot(
        self, question: Question, live: LiveSnapshot, workers: Sequence[Worker], inventory: Inventory
    ) -> Snapshot:
        today = live.today
        self._readings.add(Reading(live.at, today.requests, today.input_tokens, today.output_tokens))
        return Snapshot(
            question=question,
            taken_at=live.at,
            setup=Setup(
                home=str(self._home.paths.data),
                upstreams=inventory.upstreams,
                keys=inventory.keys,
                listen=workers[0].listen if workers else None,
                ever_used=live.last_request_at is not None,
            ),
            totals=reading.sums(live.total),
            buckets=reading.buckets(live),
            rows=reading.rows(live),
            more_rows=len(live.rows) > reading.MOST_ROWS,
            targets=reading.targets(live.targets, inventory.disabled),
            now=self._readings.rates() or reading.last_minute(live),
            spending=reading.spending(live),
            workers=len(workers),
            open_streams=_open_streams(workers),
            expiring_keys=inventory.expiring,
            unpriced_models=tuple(printable(model) for model in live.unpriced_models),
            raised=self._raised(),
            last_request_at=live.last_request_at,
        )

    def _raised(self) -> tuple[str, ...]:
        """What was noticed where nobody was looking; models without a price the console sees itself."""
        found = self._home.alerts.list(MOST_ALERTS)
        return tuple(printable(alert.text) for alert in found if alert.kind != "price_missing")

    def _stock(self, now: datetime, *, ever_used: bool) -> Inventory:
        known = self._inventory
        if known is not None and ever_used and now - known.at < INVENTORY_AGE:
            return known
        upstreams = self._home.upstreams.list()
        keys = self._home.keys.list()
        self._inventory = Inventory(
            at=now,
            upstreams=tuple(upstream.name for upstream in upstreams),
            disabled=frozenset(upstream.name for upstream in upstreams if upstream.disabled),
            keys=len(keys),
            expiring=reading.expiring(keys, now),
        )
        return self._inventory


def _open_streams(workers: Sequence[Worker]) -> int | None:
    told = [worker.state["open_streams"] for worker in workers if "open_streams" in worker.state]
    return sum(told) if told else None


def local_zone(environ: Mapping[str, str]) -> str:
    """The name of the zone this machine lives in, by `TZ` or `/etc/localtime`; UTC where neither tells a known one."""
    linked = str(Path("/etc/localtime").resolve()).partition("zoneinfo/")[2]
    for name in (environ.get("TZ", "").removeprefix(":"), linked):
        if name and _is_zone(name):
            return name
    return "UTC"


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # not a name but a rule, a path, or without its data
        return False
    return True
