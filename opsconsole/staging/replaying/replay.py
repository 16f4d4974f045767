"""Sending the requests: so many at once, so many a second, no dearer than allowed, and again from where it stopped."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from keyvault.domain.ledger import Usage
from keyvault.domain.routes import Target
from keyvault.errors import Conflict, UsageError
from opsconsole.staging.asking import Answer, Asker, Place, said
from opsconsole.staging.costing import Costing
from opsconsole.staging.exchanges import Exchange
from opsconsole.staging.replaying.judging import judge
from opsconsole.staging.runs import Run

WALL: Final = 10
"""Requests in a row without any answer after which a replay stops."""
_NEVER_SENT: Final[Mapping[str, Any]] = {"status": None}


@dataclass(frozen=True, slots=True)
class Options:
    """How a replay is made."""

    model: str | None = None
    """Asked for in place of every recorded model."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Asked for in place of some."""
    pin: Target | None = None
    """Who has to serve, at a gateway of ours."""
    concurrency: int = 4
    per_second: float | None = None
    max_cost_pico: int | None = None
    """No request is begun with which the replay may cost more, by what each is expected to cost."""


class Replay:
    """One replay of some requests against one place."""

    def __init__(
        self,
        exchanges: Sequence[Exchange],
        options: Options,
        costing: Costing,
        *,
        own: bool,
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        """`own`: the place is the gateway of this home, so its ledger tells costs. Raises `UsageError` where a ceiling
        cannot be kept because a price is missing."""
        self._exchanges = exchanges
        self._options = options
        self._costing = costing
        self._own = own
        self._sleep = sleep
        self._spent = 0
        self._reserved = 0
        self._unanswered = 0
        self.stopped: str | None = None
        """What ended it before its end."""
        if options.max_cost_pico is not None:
            self._check_priced()

    def body_of(self, exchange: Exchange) -> bytes:
        """What is sent for a request of the past: its own bytes, but for the model where another is asked for."""
        model = self.model_of(exchange)
        return exchange.body if model == exchange.model else exchange.with_fields(model=model)

    def model_of(self, exchange: Exchange) -> str | None:
        """The model that is asked for."""
        recorded = exchange.model
        return self._options.model or self._options.renamed.get(recorded or "", recorded)

    def target_of(self, exchange: Exchange) -> Target | None:
        """Who is expected to serve it."""
        found = self._costing.targets(exchange.path, self.model_of(exchange), self._options.pin)
        return found[0] if found else None

    def expected_pico(self, exchange: Exchange) -> int | None:
        """About what it will cost; None where no price is known."""
        target = self.target_of(exchange)
        if target is None:
            return None
        before = exchange.recorded.usage if exchange.recorded else None
        output = before.output or None if before else None  # what failed before brought none, and may succeed now
        return self._costing.about(exchange.path, self.body_of(exchange), target, output)

    def left(self, run: Run) -> list[Exchange]:
        """What a run has not done yet: what was not sent, or got no answer at all. Raises `Conflict` where something
        else stands in the place of a request that was sent."""
        done = run.done()
        for exchange in self._exchanges:
            if exchange.id in done and done[exchange.id]["body"] != _print(exchange):
                raise Conflict(
                    f"line {exchange.line} is another request than the one that was sent from there",
                    hint="gwctl replay FILE begins anew",
                )
        return [each for each in self._exchanges if done.get(each.id, _NEVER_SENT)["status"] is None]

    async def run(self, place: Place, run: Run, progress: Callable[[int, int], None] = lambda *_: None) -> None:
        """Send what the run has not done yet, and note each answer in it as it comes. Raises `Conflict`."""
        run.hold()
        left = self.left(run)
        self._spent = sum(record["cost_pico"] or 0 for _, record in run.items())
        finished = len(self._exchanges) - len(left)
        progress(finished, len(self._exchanges))
        waiting = iter(left)
        pace = _Pace(self._options.per_second, self._sleep)

        async def work(asker: Asker) -> None:
            nonlocal finished
            while self.stopped is None and (exchange := next(waiting, None)) is not None:
                reserve = self._reserve(exchange)
                if reserve is None:
                    return
                await pace.turn()
                answer = await self._send(asker, exchange)
                record = await asyncio.to_thread(self._noted, run, exchange, answer)
                self._reserved -= reserve
                self._spent += record["cost_pico"] or 0
                self._stop_at_a_wall(record)
                finished += 1
                progress(finished, len(self._exchanges))

        async with Asker(place) as asker, asyncio.TaskGroup() as group:
            for _ in range(min(self._options.concurrency, len(left))):
                group.create_task(work(asker))

    def _reserve(self, exchange: Exchange) -> int | None:
        """What is put by for a request; None where the ceiling does not allow it, and nothing more is begun."""
        ceiling = self._options.max_cost_pico
        if ceiling is None:
            return 0
        expected = self.expected_pico(exchange) or 0
        if self._spent + self._reserved + expected > ceiling:
            self.stopped = "the cost ceiling"
            return None
        self._reserved += expected
        return expected

    def _stop_at_a_wall(self, record: Mapping[str, Any]) -> None:
        """Nobody is there any more where nothing answers: the rest waits for `--resume`."""
        self._unanswered = self._unanswered + 1 if record["status"] is None else 0
        if self._unanswered >= WALL:
            self.stopped = f"{WALL} requests in a row got no answer"

    async def _send(self, asker: Asker, exchange: Exchange) -> Answer:
        headers = {} if self._options.pin is None else {"x-gateway-pin": str(self._options.pin)}
        return await asker.ask(exchange.path, self.body_of(exchange), headers=headers)

    def _noted(self, run: Run, exchange: Exchange, answer: Answer) -> dict[str, Any]:
        """What is kept of an answer, on the disk. In a thread: while it is written, others are timed."""
        record = self._record(exchange, answer)
        run.add(exchange.id, record)
        return record

    def _record(self, exchange: Exchange, answer: Answer) -> dict[str, Any]:
        heard = said(exchange.path, answer)
        target = self.target_of(exchange)
        if self._own:
            cost = self._costing.of_answer(answer)
        else:
            cost = None if target is None else self._costing.of_usage(target, heard.usage)
        before = exchange.recorded
        return {
            "line": exchange.line,
            "body": _print(exchange),
            "path": exchange.path,
            "model": self.model_of(exchange),
            "task": exchange.task,
            "stream": exchange.stream,
            "target": answer.header("x-gateway-target") or (str(self._options.pin) if self._options.pin else None),
            "request_id": answer.header("x-request-id"),
            "status": answer.status,
            "finish": heard.finish,
            "first_content_ms": answer.first_content_ms,
            "total_ms": answer.total_ms,
            "usage": _counts(heard.usage),
            "cost_pico": cost,
            "findings": [
                {"kind": found.kind, "text": found.text, "breaks": found.breaks} for found in judge(exchange, answer)
            ],
            "recorded": {
                "status": before.status if before else None,
                "first_content_ms": before.first_content_ms if before else None,
                "total_ms": before.total_ms if before else None,
                "cost_pico": before.cost_pico if before else None,
            },
        }

    def _check_priced(self) -> None:
        for exchange in self._exchanges:
            if self.expected_pico(exchange) is None:
                model = self.model_of(exchange) or "no model"
                raise UsageError(
                    f"--max-cost cannot be kept: no price is known for {model[:70]!a}",
                    hint="gwctl prices set UPSTREAM/MODEL --input USD --output USD",
                )


class _Pace:
    """Lets so many begin each second, evenly."""

    def __init__(self, per_second: float | None, sleep: Callable[[float], Any]) -> None:
        self._gap = 0.0 if per_second is None else 1 / per_second
        self._sleep = sleep
        self._next = time.monotonic()

    async def turn(self) -> None:
        if not self._gap:
            return
        now = time.monotonic()
        begins = max(self._next, now)
        self._next = begins + self._gap
        if begins > now:
            await self._sleep(begins - now)


def _print(exchange: Exchange) -> str:
    """What tells a request from others, without saying what it is."""
    return hashlib.sha256(exchange.body).hexdigest()[:16]


def _counts(usage: Usage | None) -> Mapping[str, int | None] | None:
    return None if usage is None else {"input": usage.input, "output": usage.output}
