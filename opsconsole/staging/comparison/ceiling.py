"""What a comparison may cost: the most that each request can take is held before it is asked, so that all of them
together never take more than the ceiling, whatever they turn out to cost.
"""

from __future__ import annotations

import asyncio


class Ceiling:
    """For one event loop. `limit_pico`: None is no ceiling; then nothing has to be known of what a request costs."""

    def __init__(self, limit_pico: int | None, spent_pico: int = 0) -> None:
        self.limit_pico = limit_pico
        self.spent_pico = spent_pico
        """What came of it so far; where a cost is not known, what it was at most."""
        self._held = 0
        self._changed = asyncio.Condition()

    async def hold(self, bound_pico: int | None) -> bool:
        """Wait until there is room for the most that a request can take; False: there will be none."""
        if self.limit_pico is None:
            return True
        if bound_pico is None:
            return False
        async with self._changed:
            while self.spent_pico + self._held + bound_pico > self.limit_pico:
                if not self._held:
                    return False
                await self._changed.wait()
            self._held += bound_pico
        return True

    async def settle(self, bound_pico: int | None, cost_pico: int | None) -> None:
        """A request that was held for has ended."""
        async with self._changed:
            if self.limit_pico is not None:
                self._held -= bound_pico or 0
            self.spent_pico += (bound_pico or 0) if cost_pico is None else cost_pico
            self._changed.notify_all()
