"""Probes by the official SDKs, unmodified: their own clients over a transport that keeps what passes.

So both are known: what was on the wire, and what the SDK made of it for its caller (the type it gave, the events it
iterated, the error it raised, and whether every field is of the type that the SDK declares). Needs the extra `sdk`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from operator import attrgetter
from typing import Any, Self

import anthropic
import httpx2
import openai
import pydantic

from opsconsole.staging.asking import Place
from opsconsole.staging.asking.broken import why_not_whole
from opsconsole.staging.asking.reading import Reading
from opsconsole.staging.checking.facts import Seen
from opsconsole.staging.checking.probes import Models, Probe
from opsconsole.staging.checking.streams import collapsed
from opsconsole.staging.checking.wire import WireProber

_RAISED = (
    openai.OpenAIError,
    anthropic.AnthropicError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    RuntimeError,
)
"""What an SDK raises at its caller, the last of them over answers that it did not expect."""


class SdkProber:
    """Asks one place. An asynchronous context manager. What no SDK can send goes over plain httpx."""

    def __init__(self, place: Place, *, timeout: float) -> None:
        self._place = place
        self._timeout = timeout
        self._wire = WireProber(place, timeout=timeout)
        self._transport = httpx2.AsyncHTTPTransport(verify=place.trust())

    async def __aenter__(self) -> Self:
        await self._wire.__aenter__()
        await self._transport.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._transport.__aexit__(*error)
        await self._wire.__aexit__(*error)

    def client_of(self, probe: Probe) -> str:
        return probe.sdk.partition(".")[0] or self._wire.client_of(probe)

    async def ask(self, probe: Probe, models: Models) -> Seen:
        """One answer; what goes wrong is in it, never raised."""
        if not probe.sdk:
            return await self._wire.ask(probe, models)
        keeping = _Keeping(self._transport)
        family, _, method = probe.sdk.partition(".")
        client = self._client(family, keeping, probe.key)
        views = await _views(attrgetter(method)(client), probe, models)
        return Seen(keeping.reading.answer(keeping.failure), views)

    def _client(self, family: str, keeping: _Keeping, key: str | None) -> Any:
        """An SDK's client that asks once. The transport belongs to the prober and stays open."""
        secret = key or (self._place.secret.reveal() if self._place.secret else "none")
        web = httpx2.AsyncClient(transport=keeping, timeout=self._timeout, trust_env=False)
        headers = {**self._place.headers, "accept-encoding": "identity"}
        more: Any = {"http_client": web, "max_retries": 0, "default_headers": headers, "api_key": secret}
        if family == "openai":
            return openai.AsyncOpenAI(base_url=self._place.base_url, **more)
        return anthropic.AsyncAnthropic(base_url=self._place.base_url.removesuffix("/v1"), **more)


class _Keeping(httpx2.AsyncBaseTransport):
    """Passes one exchange on, and keeps it."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner
        self.reading = Reading(time.perf_counter)
        self.failure: str | None = "nothing was asked"

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.reading, self.failure = Reading(time.perf_counter), None
        try:
            response = await self._inner.handle_async_request(request)
        except httpx2.HTTPError as error:
            self.failure = why_not_whole(error)
            raise
        self.reading.head(response.status_code, response.headers.raw)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        body = _Kept(response.stream, self)
        return httpx2.Response(
            response.status_code, headers=response.headers, stream=body, extensions=response.extensions
        )


class _Kept(httpx2.AsyncByteStream):
    """The body of an answer, on its way to the SDK. What the SDK leaves, because it has raised an error or has seen
    enough, is read all the same: what was on the wire must not depend on how far it read."""

    def __init__(self, inner: httpx2.AsyncByteStream, keeping: _Keeping) -> None:
        self._inner = inner
        self._pieces = aiter(inner)
        self._keeping = keeping

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._pieces:
                self._keeping.reading.feed(piece)
                yield piece
        except httpx2.HTTPError as error:
            self._keeping.failure = why_not_whole(error)
            raise

    async def aclose(self) -> None:
        with contextlib.suppress(httpx2.HTTPError):  # noted where it was raised
            async for _ in self:
                pass
        await self._inner.aclose()


async def _views(method: Any, probe: Probe, models: Models) -> dict[str, str]:
    """What the SDK shows its caller."""
    whole: Any = probe.body(models) if probe.body is not None else {}
    body = {name: value for name, value in whole.items() if name not in probe.by_sdk}
    positional = (models.chat,) if "{model}" in probe.path else ()
    views: dict[str, str] = {}
    try:
        asked = method(*positional, **body)
        if probe.sdk.endswith(".stream"):
            async with asked as stream:
                views["events"] = collapsed([_name(event) async for event in stream])
                final = await (
                    stream.get_final_completion if probe.sdk.startswith("openai") else stream.get_final_message
                )()
            return {**views, **_shown(final)}
        answer = await asked
        if isinstance(answer, openai.AsyncStream | anthropic.AsyncStream):
            events = [event async for event in answer]
            views["events"] = collapsed(map(_name, events))
            return {**views, **_declared(events)}
        return {**views, **_shown(answer)}
    except _RAISED as error:
        return {**views, "raises": type(error).__name__}


def _name(event: Any) -> str:
    kind = getattr(event, "type", None)
    return kind if isinstance(kind, str) else type(event).__name__


def _shown(answer: Any) -> dict[str, str]:
    return {"answer": type(answer).__name__, **_declared([answer])}


def _declared(answers: list[Any]) -> dict[str, str]:
    """Whether all fields that are there are of the types that the SDK declares, which does not look by itself. Null
    passes for any type: the APIs send it where the SDKs do not declare it."""
    for answer in answers:
        if not isinstance(answer, pydantic.BaseModel):
            continue
        told = answer.model_dump(exclude_unset=True, warnings=False)
        try:
            type(answer).model_validate(told, strict=True)
        except pydantic.ValidationError as error:
            wrong = [each for each in error.errors(include_url=False, include_context=False) if _counts(told, each)]
            if wrong:
                where = ".".join(str(part) for part in wrong[0]["loc"])
                return {"declared types": f"{where}: {wrong[0]['msg'].lower()}"}
    return {"declared types": "kept"}


def _counts(told: Any, error: Any) -> bool:
    """Whether an error is about a value that is there; not about one of several forms that a value may have, of which
    it has another."""
    for part in error["loc"]:
        if (isinstance(told, dict) and part in told) or (isinstance(told, list) and part in range(len(told))):
            told = told[part]
        else:
            return False
    return told is not None


def versions() -> tuple[str, ...]:
    """The SDKs that ask."""
    return f"openai {openai.__version__}", f"anthropic {anthropic.__version__}"
