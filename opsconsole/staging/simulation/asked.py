"""One request to a simulated provider: read, checked, answered or failed as its behaviour says, counted throughout."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from keyvault.domain.endpoints import Family
from opsconsole.staging.simulation.answers import Answer, answer
from opsconsole.staging.simulation.behaviours import FEW_TOKENS, of_model, of_texts
from opsconsole.staging.simulation.counts import Ending, Seen
from opsconsole.staging.simulation.errors import error_body, error_headers
from opsconsole.staging.simulation.pace import Pace
from opsconsole.staging.simulation.profile import Profile
from opsconsole.staging.simulation.questions import Invalid, Question
from opsconsole.staging.simulation.shapes import Shape
from opsconsole.staging.simulation.wire import Reply, Request

_JSON: Final = ("content-type", "application/json")
_SSE: Final = ("content-type", "text/event-stream; charset=utf-8")
_PARTIAL: Final = ("stall", "cut", "error")
FOREVER: Final = 86_400.0


@dataclass(slots=True)
class Asked:
    """One request and the answer to it. `number` is unique in this simulator and makes its request id."""

    profile: Profile
    shape: Shape
    request: Request
    reply: Reply
    seen: Seen
    number: int
    rng: random.Random
    behaviour: str = ""
    pace: Pace = field(default_factory=Pace)

    async def run(self) -> None:
        """Answer; the ending stands in `seen` whatever happens."""
        try:
            await self._run()
        except asyncio.CancelledError:
            self.seen.ending = Ending.CANCELLED
            raise
        except Invalid as invalid:
            self._refuse(invalid.status, invalid.message, invalid.parameter)

    async def _run(self) -> None:
        if not self.profile.accepts(self.request.headers):
            raise Invalid(None, status=401)
        question = self._read()
        base, chosen = of_model(question.model, self.profile.models)
        if base not in self.profile.models:
            raise Invalid(f"The model `{question.model}` does not exist or you do not have access to it.", status=404)
        self.behaviour = chosen or of_texts(question.texts) or self.profile.drawn_failure(self.rng)
        self.pace = self.profile.pace.slowed() if self.behaviour == "slow" else self.profile.pace
        self.seen.stream, self.seen.behaviour = question.stream, self.behaviour
        said = answer(question, self.profile.seed, self.behaviour, self.profile.lengths)
        self.seen.input_tokens, self.seen.cached_tokens = said.input_tokens, said.cached_tokens
        self.seen.tells_usage = said.tells_usage
        await self._behave(question, said)

    def _read(self) -> Question:
        try:
            body = msgspec.json.decode(self.request.body)
        except msgspec.DecodeError:
            raise Invalid("We could not parse the JSON body of your request.") from None
        if not isinstance(body, dict) or not isinstance(body.get("model"), str):
            raise Invalid("you must provide a model parameter", "model")
        self.seen.model = body["model"]
        if self.shape.family is Family.ANTHROPIC and "anthropic-version" not in self.request.headers:
            raise Invalid("anthropic-version: header is required")
        try:
            return self.shape.read(body, bool(body.get("stream")))
        except (KeyError, TypeError, AttributeError) as error:
            raise Invalid(f"Malformed request: {error}") from None

    async def _behave(self, question: Question, said: Answer) -> None:
        streams = question.stream
        if self.behaviour == "hang":
            await asyncio.sleep(FOREVER)
        elif self.behaviour == "drop":
            self._cut()
        elif self.behaviour == "garbage":
            self._whole_bytes(200, b"<html>upstream ate the answer</html>")
        elif self.behaviour.isdecimal():
            await asyncio.sleep(self.pace.first(self.rng) / 4)
            self._refuse(int(self.behaviour))
        elif self.behaviour in ("error", "early-error") and not streams:
            self._refuse(500)
        elif streams:
            await self._stream(question, said)
        else:
            await self._whole(question, said)

    async def _whole(self, question: Question, said: Answer) -> None:
        await asyncio.sleep(self.pace.whole(said.output_tokens, self.rng))
        body = msgspec.json.encode(self.shape.whole(question, said))
        if self.behaviour in ("cut", "stall"):
            self.reply.start(200, [_JSON, *self._ids()], length=len(body))
            await self.reply.send(body[: len(body) // 2])
            await self._break_off(0)
        else:
            self._whole_bytes(200, body)
            self.seen.output_tokens = said.output_tokens
            self.seen.ending = Ending.COMPLETED

    async def _stream(self, question: Question, said: Answer) -> None:
        limit = FEW_TOKENS if self.behaviour in _PARTIAL else 0 if self.behaviour == "early-error" else FOREVER
        self.seen.status = 200
        self.reply.start(200, [_SSE, ("cache-control", "no-cache"), *self._ids()])
        await asyncio.sleep(self.pace.first(self.rng))
        gap = self.pace.gap()
        for position, event in enumerate(self.shape.stream(question, said)):
            if event.tokens and self.seen.output_tokens >= limit:
                await self._break_off(position)
                return
            await self.reply.send(event.data)
            self.seen.output_tokens += event.tokens
            if gap and event.tokens:
                await asyncio.sleep(gap)
        self.reply.finish()
        self.seen.ending = Ending.COMPLETED

    async def _break_off(self, position: int) -> None:
        if self.behaviour == "cut":
            self._cut()
        elif self.behaviour == "stall":
            await asyncio.sleep(FOREVER)
        else:
            error = error_body(self.shape.family, 500, None, None, self.id)
            await self.reply.send(self.shape.error_event(error, position))
            self.reply.finish()
            self.seen.ending = Ending.FAILED

    @property
    def id(self) -> str:
        return f"req_{self.profile.seed:04x}{self.number:08x}"

    def _ids(self) -> list[tuple[str, str]]:
        return [("request-id" if self.shape.family is Family.ANTHROPIC else "x-request-id", self.id)]

    def _cut(self) -> None:
        self.seen.ending = Ending.CUT
        self.reply.cut()

    def _refuse(self, status: int, message: str | None = None, parameter: str | None = None) -> None:
        self.seen.ending = Ending.FAILED
        body: dict[str, Any] = error_body(self.shape.family, status, message, parameter, self.id)
        self._whole_bytes(status, msgspec.json.encode(body), error_headers(status))

    def _whole_bytes(self, status: int, body: bytes, headers: list[tuple[str, str]] | None = None) -> None:
        self.seen.status = status
        if self.behaviour == "garbage":
            self.seen.ending = Ending.FAILED
        self.reply.whole(status, [_JSON, *self._ids(), *(headers or ())], body)
