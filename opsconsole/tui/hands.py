"""The hands: carry out changes on a home, one at a time, in a thread of their own.

The console reads with one home and changes with another, so that the vault, once opened for a change, is open only
here, and is forgotten after a while without changes: the console's clock sees to it. What unlocks it is asked for when
a change needs it.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from keyvault.errors import Unavailable
from keyvault.secrets import Secret

if TYPE_CHECKING:
    from keyvault.home import Home
    from keyvault.vault.unlock import Prompt

T = TypeVar("T")
OPEN_FOR: Final = timedelta(minutes=5)
"""How long after a change the vault stays open for the next one."""

Ask = Callable[[str], Awaitable[Secret | None]]
"""Asks the person for what unlocks the vault, on the screen; None where they would rather not."""


class Hands(Protocol):
    """What screens see of it."""

    async def carry_out(self, change: Callable[[Home], T], ask: Ask) -> T:
        """The change's result. Raises what the service raises, always a `GatewayError`."""
        ...

    def forget_if_idle(self) -> None:
        """Forget the vault when nothing was changed for a while; called every second or so."""
        ...


class NoHands:
    """For a console that only reads."""

    async def carry_out(self, change: Callable[[Home], T], ask: Ask) -> T:
        raise Unavailable("this console only reads", hint="gwctl console")

    def forget_if_idle(self) -> None:
        """There is nothing to forget."""


class FileHands:
    """For what writes a file and needs no home, so that a console that only reads can do it, too."""

    async def carry_out(self, change: Callable[[Home], T], ask: Ask) -> T:
        nothing: Any = None
        return await asyncio.to_thread(change, nothing)

    def forget_if_idle(self) -> None:
        """There is nothing to forget."""


class HomeHands:
    """Changes a home. `open_home` makes one that asks the given prompt; it is closed when it was idle for long."""

    def __init__(self, open_home: Callable[[Prompt], Home], now: Callable[[], datetime]) -> None:
        self._open_home = open_home
        self._now = now
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hands")
        self._home: Home | None = None
        self._used = now()
        self._prompt: Prompt = _nobody

    async def carry_out(self, change: Callable[[Home], T], ask: Ask) -> T:
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()  # Textual finds its app by it

        def prompt(question: str) -> Secret | None:
            answer: Future[Secret | None] = Future()
            loop.call_soon_threadsafe(_ask_for, ask, question, answer, context=context)
            return answer.result()

        return await loop.run_in_executor(self._thread, self._carry_out, change, prompt)

    def _carry_out(self, change: Callable[[Home], T], prompt: Prompt) -> T:
        self._prompt = prompt
        try:
            return change(self._opened())
        finally:
            self._prompt = _nobody
            self._used = self._now()

    @property
    def _is_idle(self) -> bool:
        return self._home is not None and self._now() - self._used > OPEN_FOR

    def forget_if_idle(self) -> None:
        if self._is_idle:
            self._thread.submit(self._forget_if_idle)  # where changes are made: never in the midst of one

    def _forget_if_idle(self) -> None:
        if self._home is not None and self._is_idle:
            self._home.close()
            self._home = None

    def _opened(self) -> Home:
        self._forget_if_idle()
        if self._home is None:
            self._home = self._open_home(lambda question: self._prompt(question))
        return self._home

    def close(self) -> None:
        """Forget the vault. A change under way is left to end by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._home is not None:
            self._home.close()


def _ask_for(ask: Ask, question: str, answer: Future[Secret | None]) -> None:
    """On the loop: begin asking, and hand over what comes of it."""

    def asked(task: asyncio.Task[Secret | None]) -> None:
        answer.set_result(None if task.cancelled() or task.exception() else task.result())

    async def begin() -> Secret | None:
        return await ask(question)

    asyncio.create_task(begin()).add_done_callback(asked)


def _nobody(_question: str) -> Secret | None:
    return None
