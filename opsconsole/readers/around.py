"""What every snapshot says besides its view's own figures: how far the setup is, who works, what needs a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple, TypedDict

from keyvault.domain.keys import Key
from keyvault.domain.workers import Worker
from keyvault.keys.watching import KeyWatch
from opsconsole.view.live import reading
from opsconsole.view.snapshot import ExpiringKey, RunningCapture, Setup
from opsconsole.view.text import printable

if TYPE_CHECKING:
    from keyvault.home import Home

STOCK_AGE: Final = timedelta(seconds=30)
"""How often it is looked which keys end soon, where no key and no upstream has changed meanwhile."""
MOST_ALERTS: Final = 20


class Around(TypedDict):
    """The fields of `Snapshot` that are the same for every view."""

    setup: Setup
    workers: int
    expiring_keys: tuple[ExpiringKey, ...]
    unpriced_models: tuple[str, ...]
    raised: tuple[str, ...]
    captures: tuple[RunningCapture, ...]


class _Stock(NamedTuple):
    """What is known of keys and upstreams, when it was read, and of which epochs it is."""

    at: datetime
    epochs: tuple[int, int]
    read: Mapping[int, Key]
    upstreams: tuple[str, ...]
    keys: int
    expiring: tuple[ExpiringKey, ...]


class Surroundings:
    """Reads them from a home; what is known of keys and upstreams is read again when they have changed."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._stock: _Stock | None = None
        self.unpriced: tuple[str, ...] = ()
        """The models without a price that the ledger last named."""
        self.ever_used = False
        self.disabled: frozenset[str] = frozenset()
        """The upstreams that are."""

    @cached_property
    def watch(self) -> KeyWatch:
        """All keys, read again only where they change."""
        return KeyWatch(self._home.database)

    def read(self, now: datetime, workers: Sequence[Worker]) -> Around:
        """Raises `GatewayError` where the home cannot be read."""
        stock = self._kept(now)
        return {
            "setup": Setup(
                home=str(self._home.paths.data),
                upstreams=stock.upstreams,
                keys=stock.keys,
                listen=workers[0].listen if workers else None,
                ever_used=self.ever_used,
            ),
            "workers": len(workers),
            "expiring_keys": stock.expiring,
            "unpriced_models": self.unpriced,
            "raised": self._raised(),
            "captures": self._captures(),
        }

    def _kept(self, now: datetime) -> _Stock:
        epochs = self._home.workers.epochs()
        stand = epochs["keys"], epochs["upstreams"]
        known = self._stock
        if known is None or known.epochs != stand or now - known.at >= STOCK_AGE or self._used_since(known):
            known = self._stock = self._read(now, stand)
        return known

    def _used_since(self, known: _Stock) -> bool:
        """Whether a key may have been used for the first time."""
        return not self.ever_used and self.watch.read() is not known.read

    def _read(self, now: datetime, stand: tuple[int, int]) -> _Stock:
        home, read = self._home, self.watch.read()
        keys = [key for key in read.values() if key.deleted_at is None]
        self.ever_used = self.ever_used or any(each.last_used_at for key in keys for each in key.generations)
        upstreams = home.upstreams.list()
        self.disabled = frozenset(upstream.name for upstream in upstreams if upstream.disabled)
        names = tuple(upstream.name for upstream in upstreams)
        return _Stock(now, stand, read, names, len(keys), reading.expiring(keys, now))

    def _captures(self) -> tuple[RunningCapture, ...]:
        return tuple(RunningCapture(each.of, each.until) for each in self._home.captures.running())

    def _raised(self) -> tuple[str, ...]:
        """What was noticed where nobody was looking; models without a price the console sees itself."""
        found = self._home.alerts.list(MOST_ALERTS)
        return tuple(printable(alert.text) for alert in found if alert.kind != "price_missing")
