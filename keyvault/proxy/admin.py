"""The admin listener: `/healthz` (alive), `/readyz` (may be sent traffic), `/metrics` (Prometheus).

It has no authentication and therefore listens on loopback only.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from keyvault.errors import Refusal
from keyvault.proxy.exposition import Exposition
from keyvault.proxy.http1 import Exchange

Check = Callable[[], str | None]
"""Why the worker should not be sent traffic, None when it should."""


class Admin:
    """Handles the exchanges of the admin listener."""

    def __init__(self, exposition: Exposition, not_ready: Check) -> None:
        self._exposition = exposition
        self._not_ready = not_ready

    def admit(self, exchange: Exchange) -> None:
        if exchange.request.method not in ("GET", "HEAD"):
            raise Refusal(405, "method_not_allowed", "only GET here")

    async def serve(self, exchange: Exchange) -> None:
        path = exchange.request.path
        if path == "/healthz":
            self._json(exchange, 200, {"status": "ok"})
        elif path == "/readyz":
            reason = self._not_ready()
            self._json(exchange, 200 if reason is None else 503, {"status": reason or "ready"})
        elif path == "/metrics":
            self._metrics(exchange)
        else:
            self.refuse(exchange, Refusal(404, "not_found", "/healthz, /readyz and /metrics are here"))

    def refuse(self, exchange: Exchange, refusal: Refusal) -> None:
        if exchange.started:
            exchange.abort()
        else:
            self._json(exchange, refusal.status, {"error": refusal.message})

    def _metrics(self, exchange: Exchange) -> None:
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.exposition import CONTENT_TYPE_LATEST

        registry = CollectorRegistry()
        registry.register(self._exposition)
        exchange.reply(200, [(b"content-type", CONTENT_TYPE_LATEST.encode())], generate_latest(registry))

    def _json(self, exchange: Exchange, status: int, body: dict[str, str]) -> None:
        exchange.reply(status, [(b"content-type", b"application/json")], msgspec.json.encode(body))
