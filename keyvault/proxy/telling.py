"""Tells the webhook of alerts, beside everything else: one that is slow or dead disturbs nothing.

What is owed lies in the database, with when to try again, so a restart forgets nothing; whoever raised an alert, a
command included, need not know that there is a webhook.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from keyvault.alerts import Alerts
from keyvault.clock import Clock
from keyvault.errors import GatewayError, Unavailable
from keyvault.proxy.supervision import Stopping
from keyvault.webhook import Webhook

log = structlog.get_logger()

EVERY_SECONDS: Final = 1.0


class Telling:
    """A job of the worker."""

    def __init__(self, alerts: Alerts, clock: Clock, webhook: Webhook | None) -> None:
        self._alerts = alerts
        self._clock = clock
        self._webhook = webhook

    async def follow(self, stopping: Stopping) -> None:
        if self._webhook is None:
            await stopping.wait()
            return
        while not await stopping.within(EVERY_SECONDS):
            try:
                while not stopping.is_set() and await self.once(self._webhook):
                    pass
            except GatewayError as error:
                log.error("the webhook will be told later", reason=error.message)

    async def once(self, webhook: Webhook) -> bool:
        """Tell of one alert; whether it was taken, so that the next may be told of at once."""
        alert = await asyncio.to_thread(self._alerts.next_due)
        if alert is None:
            return False
        try:
            await webhook.tell(alert, self._clock)
        except Unavailable as error:
            log.warning("will be tried again", part="webhook", kind=alert.kind, reason=error.message)
            return False
        await asyncio.to_thread(self._alerts.sent, alert)
        return True
