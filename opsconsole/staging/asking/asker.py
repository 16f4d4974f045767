"""One connection pool to one place, and the question put to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from keyvault.proxy.dialects.sse import OversizedEvent
from opsconsole.staging.asking.answer import Answer
from opsconsole.staging.asking.broken import why_not_whole
from opsconsole.staging.asking.place import Place
from opsconsole.staging.asking.reading import Reading

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS: Final = 120.0
MAX_CONNECTIONS: Final = 200


class Asker:
    """Asks one place. An asynchronous context manager; may ask many questions at once."""

    def __init__(
        self,
        place: Place,
        *,
        timeout: float = TIMEOUT_SECONDS,
        monotonic: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`timeout`: the longest silence, and the longest time to connect, in seconds."""
        self.place = place
        self._timeout = timeout
        self._monotonic = monotonic
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        import httpx

        self._client = httpx.AsyncClient(
            timeout=self._timeout,
            verify=self.place.trust(),
            trust_env=False,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def ask(
        self,
        path: str,
        body: bytes | Mapping[str, Any] | None = None,
        *,
        method: str = "POST",
        headers: Mapping[str, str] = {},
    ) -> Answer:
        """What comes back for one request; a failure of the network is an answer too, never raised."""
        import httpx

        assert self._client is not None, "used as a context manager"
        content = body if isinstance(body, bytes | None) else msgspec.json.encode(body)
        given = {**self.place.headers_for(path), **({"content-type": "application/json"} if content else {}), **headers}
        reading = Reading(self._monotonic)
        try:
            request = self._client.build_request(method, self.place.url(path), content=content, headers=given)
            response = await self._client.send(request, stream=True)
            try:
                reading.head(response.status_code, response.headers.raw)
                async for piece in response.aiter_raw():
                    reading.feed(piece)
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, OversizedEvent, ValueError) as error:
            return reading.answer(why_not_whole(error))
        return reading.answer(None)
