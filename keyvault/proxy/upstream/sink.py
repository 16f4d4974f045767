"""What a provider's answer is poured into, and the shorter way that parts of it may take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from keyvault.proxy.upstream.origin import UpstreamFailure

Headers = list[tuple[bytes, bytes]]


class Shortcut(Protocol):
    """Takes chunks that nobody needs to read, straight from the transport: the connection does not see them."""

    otherwise: Callable[[bytes], None]
    """Gets the reads that are not taken. Set by the connection."""

    def take(self, chunk: bytes) -> None:
        """Take a whole read that begins where a chunk does and is exactly one chunk; or give it to `otherwise`."""


class Sink(Protocol):
    """What an answer is poured into."""

    def on_head(self, status: int, headers: Headers) -> None:
        """The final head; informational answers are skipped. Names are lower-case."""

    def on_data(self, data: bytes) -> None:
        """A piece of the body, without its framing."""

    def shortcut(self) -> Shortcut | None:
        """What gets the next reads until it gives one to `otherwise`; asked between two chunks."""

    def on_end(self) -> None:
        """The answer is complete. The connection may serve another request from now on: leave its flow alone."""

    def on_failure(self, error: UpstreamFailure) -> None: ...
