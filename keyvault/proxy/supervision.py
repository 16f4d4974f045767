"""Keeps what runs beside the requests running: a part that fails is told of and tried again, and stops no other part.

This is the one place where any error is caught, whatever it is: a worker that serves must outlive a mistake in a chore.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final

import structlog

from keyvault.alerts import Alerts
from keyvault.errors import GatewayError

log = structlog.get_logger()

FAILED: Final = "job_failed"
AGAIN_SECONDS: Final = 1.0
STEADY_SECONDS: Final = 60.0
"""A job that was started again and has run for so long is well."""


class Stopping(asyncio.Event):
    """Set when the worker is to stop. Jobs wait for it a second at a time all along, so that they do so without a
    timeout, which throws and catches exceptions each time."""

    def __init__(self) -> None:
        super().__init__()
        self._asleep: set[asyncio.Future[None]] = set()

    def set(self) -> None:
        super().set()
        for sleeper in self._asleep:
            _wake(sleeper)

    async def within(self, seconds: float) -> bool:
        """Whether it comes within that time."""
        if self.is_set():
            return True
        loop = asyncio.get_running_loop()
        sleeper: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(seconds, _wake, sleeper)
        self._asleep.add(sleeper)
        try:
            await sleeper
        finally:
            timer.cancel()
            self._asleep.discard(sleeper)
        return self.is_set()


Job = Callable[[Stopping], Coroutine[Any, Any, None]]
"""Something that runs until its event is set."""
Chore = Callable[[], object]
"""Something short, away from the event loop. What it raises is told, and it is tried again."""
Look = Callable[[], Chore]
"""Looks, on the event loop, at what no other thread may; what it gives is to be done about it."""
NO_LOOKS: Final[Mapping[str, Look]] = {}


class Supervisor:
    """Runs the jobs and chores of one worker."""

    def __init__(self, alerts: Alerts, *, again: float = AGAIN_SECONDS, steady: float = STEADY_SECONDS) -> None:
        self._alerts = alerts
        self._again = again
        self._steady = steady
        self._failing: set[str] = set()
        """The names of what failed and has not worked since."""
        self.down: set[str] = set()
        """The jobs that wait to be started again."""

    async def keep_up(self, name: str, job: Job, stopping: Stopping, *, after: float = 0.0) -> None:
        """Run a job until `stopping`, at first `after` so many seconds; one that ends before is started again after a
        second."""
        await stopping.within(after)
        while not stopping.is_set():
            run = asyncio.create_task(self.attempt(name, partial(job, stopping)))
            if name in self._failing and not (await asyncio.wait({run}, timeout=self._steady))[0]:
                await self._well(name)
            await run
            self.down.add(name)
            await stopping.within(self._again)
            self.down.discard(name)

    async def attempt(self, name: str, do: Callable[[], Awaitable[object]]) -> None:
        """Do something once. What is known to go wrong is logged; any other error is an alert until it works again."""
        error: Exception | None = None
        try:
            await do()
        except Exception as found:  # noqa: BLE001 - a worker goes on serving, whatever went wrong beside the requests
            error = found
        await self._note(name, error)

    async def attempt_each(self, chores: Mapping[str, Chore], looks: Mapping[str, Look] = NO_LOOKS) -> None:
        """Do several short things that block, one after the other in one thread, each as `attempt` does: what comes of
        the `looks` first."""
        chores = {**{name: _looked(look) for name, look in looks.items()}, **chores}
        for name, error in (await asyncio.to_thread(_do_each, chores)).items():
            await self._note(name, error)

    async def _note(self, name: str, error: Exception | None) -> None:
        """Tell how an attempt went."""
        if isinstance(error, GatewayError):
            log.error("will be tried again", part=name, reason=error.message)
        elif error is not None:
            log.critical("a part of the worker failed, it is started again", part=name, exc_info=error)
            # The name of its kind alone: what an unforeseen error says may hold anything.
            await self._failed(name, f"{name} failed by {type(error).__name__} and is started again; the log has more")
        elif name in self._failing:
            await self._well(name)

    async def _failed(self, name: str, text: str) -> None:
        self._failing.add(name)
        await self._tell(partial(self._alerts.raise_alert, FAILED, f"job:{name}", text))

    async def _well(self, name: str) -> None:
        self._failing.discard(name)
        await self._tell(partial(self._alerts.resolve, FAILED, f"job:{name}"))

    async def _tell(self, tell: Callable[[], object]) -> None:
        try:
            await asyncio.to_thread(tell)
        except Exception as error:  # the alert may fail by what it is about
            log.critical("no alert could be written", exc_info=error)


def _looked(look: Look) -> Chore:
    """What a look gives; where it fails, a chore that does so."""
    try:
        return look()
    except Exception as error:  # noqa: BLE001 - as in `attempt`
        return partial(_fail, error)


def _fail(error: Exception) -> None:
    raise error


def _do_each(chores: Mapping[str, Chore]) -> Mapping[str, Exception | None]:
    """What each failed by, None where it did not."""
    errors: dict[str, Exception | None] = dict.fromkeys(chores)
    for name, chore in chores.items():
        try:
            chore()
        except Exception as error:  # noqa: BLE001 - as in `attempt`
            errors[name] = error
    return errors


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
