"""Probes over plain httpx: the request as its bytes, the answer as it came."""

from __future__ import annotations

from typing import Self

from opsconsole.staging.asking import Asker, Place
from opsconsole.staging.checking.facts import Seen
from opsconsole.staging.checking.probes import Models, Probe


class WireProber:
    """Asks one place. An asynchronous context manager."""

    def __init__(self, place: Place, *, timeout: float) -> None:
        self._asker = Asker(place, timeout=timeout)

    async def __aenter__(self) -> Self:
        await self._asker.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._asker.__aexit__(*error)

    def client_of(self, probe: Probe) -> str:
        return "httpx"

    async def ask(self, probe: Probe, models: Models) -> Seen:
        """One answer; what goes wrong is in it, never raised."""
        body = probe.body(models) if probe.body is not None else None
        path = probe.path.replace("{model}", models.chat)
        return Seen(await self._asker.ask(path, body, method=probe.method, headers=_other_key(probe)))


def _other_key(probe: Probe) -> dict[str, str]:
    if probe.key is None:
        return {}
    if probe.path.startswith("/messages"):
        return {"x-api-key": probe.key}
    return {"authorization": f"Bearer {probe.key}"}
