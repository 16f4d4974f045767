"""What the proxy looks things up in: callers, plans, prices and open credentials.

All of it is held in memory and renewed when its epoch in the database changes, so that a revoked key, a new route or a
changed price counts for the very next request. A credential that cannot be opened takes its own upstream out of
service, nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import structlog

from keyvault.domain.vault import Compartment, Upstream
from keyvault.errors import GatewayError
from keyvault.home import Home
from keyvault.keys.directory import Directory
from keyvault.metering.prices import PriceBook
from keyvault.proxy.upstream import Origin
from keyvault.routing.planner import Planner
from keyvault.storage import epochs
from keyvault.storage.epochs import Epochs
from keyvault.vault.upstreams import OpenUpstream

log = structlog.get_logger()


class ServingUpstream:
    """An upstream with its credential open, and the parts of its requests that never change."""

    __slots__ = ("auth", "extra", "host", "origin", "secrets")

    def __init__(self, opened: OpenUpstream) -> None:
        upstream = opened.upstream
        self.origin = Origin.parse(opened.base_url, allow_private=upstream.allow_private, ca_file=upstream.ca_file)
        self.host = self.origin.host_header
        self.auth = opened.auth_headers()
        self.extra = upstream.extra_headers
        self.secrets = (opened.secret.reveal(),) if opened.secret else ()


class Tables:
    """The proxy's memory. `refresh` is called before each request, from the event loop's thread only."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._loop = asyncio.get_running_loop()
        self._looked = False
        self._reader = epochs.reader(home.database)
        vault = home.vault.unlock(Compartment.UPSTREAM)
        self.directory = Directory(home.database, vault.peppers, clock=home.clock)
        self.upstreams: Mapping[str, ServingUpstream] = {}
        self._seen = self._reader.read()
        self.directory.load()
        self._renew_upstreams()
        self._renew_planner()
        self._renew_prices()

    def refresh(self) -> None:
        """Renew what has changed. Raises `Unavailable` where the database cannot be read.

        It looks once in a turn of the event loop: requests that arrive together are judged by the same state.
        """
        if self._looked:
            return
        found = self._reader.read()
        if found != self._seen:
            self._renew(found)
        self._looked = True
        self._loop.call_soon(self._look_again)

    def _look_again(self) -> None:
        self._looked = False

    def _renew(self, found: Epochs) -> None:
        keys, upstreams, routes, prices = found
        if keys != self._seen[0]:
            self.directory.refresh(keys)
        if upstreams != self._seen[1]:
            self._renew_upstreams()
        if (upstreams, routes) != self._seen[1:3]:
            self._renew_planner()
        if prices != self._seen[3]:
            self._renew_prices()
        self._seen = found

    def close(self) -> None:
        self._reader.close()

    def _renew_upstreams(self) -> None:
        serving: dict[str, ServingUpstream] = {}
        known: list[Upstream] = []
        for upstream, opened in self._home.upstreams.open_all():
            if isinstance(opened, GatewayError):
                log.error("upstream out of service", upstream=upstream.name, reason=opened.code, detail=opened.message)
                known.append(replace(upstream, disabled=True))
            else:
                serving[upstream.name] = ServingUpstream(opened)
                known.append(upstream)
        self.upstreams, self._known = serving, known

    def _renew_planner(self) -> None:
        routes, default = self._home.routes.current().routes, self._home.settings.default_upstream
        self.planner = Planner(routes, self._known, default)

    def _renew_prices(self) -> None:
        with self._home.database.read() as tx:
            self.prices = PriceBook.load(tx)
