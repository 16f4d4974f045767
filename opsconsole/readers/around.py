"""What every snapshot says besides its view's own figures: how far the setup is, who works, what needs a person."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypedDict

from keyvault.domain.workers import Worker
from keyvault.keys.watching import KeyWatch
from opsconsole.view.live import reading
from opsconsole.view.snapshot import ExpiringKey, Setup
from opsconsole.view.text import printable

if TYPE_CHECKING:
    from keyvault.home import Home

STOCK_AGE: Final = timedelta(seconds=30)
"""Names of upstreams and keys that end change rarely and are read this often; every time before the first request."""
MOST_ALERTS: Final = 20


class Around(TypedDict):
    """The fields of `Snapshot` that are the same for every view."""

    setup: Setup
    workers: int
    expiring_keys: tuple[ExpiringKey, ...]
    unpriced_models: tuple[str, ...]
    raised: tuple[str, ...]


class Surroundings:
    """Reads them from a home; keeps for a while what changes rarely."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._stock: tuple[datetime, Around] | None = None
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
                home=stock["setup"].home,
                upstreams=stock["setup"].upstreams,
                keys=stock["setup"].keys,
                listen=workers[0].listen if workers else None,
                ever_used=self.ever_used,
            ),
            "workers": len(workers),
            "expiring_keys": stock["expiring_keys"],
            "unpriced_models": self.unpriced,
            "raised": self._raised(),
        }

    def _kept(self, now: datetime) -> Around:
        if self._stock is not None and self.ever_used and now - self._stock[0] < STOCK_AGE:
            return self._stock[1]
        home = self._home
        keys = [key for key in self.watch.read().values() if key.deleted_at is None]
        self.ever_used = self.ever_used or any(each.last_used_at for key in keys for each in key.generations)
        upstreams = home.upstreams.list()
        self.disabled = frozenset(upstream.name for upstream in upstreams if upstream.disabled)
        names = tuple(upstream.name for upstream in upstreams)
        stock: Around = {
            "setup": Setup(str(home.paths.data), upstreams=names, keys=len(keys)),
            "workers": 0,
            "expiring_keys": reading.expiring(keys, now),
            "unpriced_models": (),
            "raised": (),
        }
        self._stock = (now, stock)
        return stock

    def _raised(self) -> tuple[str, ...]:
        """What was noticed where nobody was looking; models without a price the console sees itself."""
        found = self._home.alerts.list(MOST_ALERTS)
        return tuple(printable(alert.text) for alert in found if alert.kind != "price_missing")
