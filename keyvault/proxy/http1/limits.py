"""How much a client may send and how long it may take, and the cap over all request bodies held in memory.

The values come from the settings once; `BodyBudget` is shared by all connections of a worker.
"""

from __future__ import annotations

from dataclasses import dataclass

from keyvault.errors import Refusal
from keyvault.settings import Settings


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    max_head: int = 64 * 1024
    """Request line and headers, line ends included. Also how much of a trailer and of pipelined requests is held."""
    max_headers: int = 100
    max_target: int = 16 * 1024
    max_body: int = 64 * 1024 * 1024
    max_connections: int = 10_000
    head_timeout: float = 15.0
    """For a whole head, from its first byte (for a new connection: from when it was accepted)."""
    body_timeout: float = 30.0
    """Between two pieces of a body; over all, a body must come at `slowest_body` bytes a second or faster."""
    write_timeout: float = 60.0
    """A client that is being sent an answer must take `slowest_read` bytes in this time."""
    keep_alive_timeout: float = 75.0
    linger_timeout: float = 5.0
    """How long input is read and thrown away after an early refusal, so that the client gets to read it."""
    slowest_body: int = 1024
    slowest_read: int = 32 * 1024
    drainable: int = 64 * 1024
    """The rest of a refused request up to this size is read and dropped; behind a larger one the connection closes."""

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        return cls(
            max_head=settings.max_head,
            max_headers=settings.max_headers,
            max_target=min(16 * 1024, settings.max_head),
            max_body=settings.max_body,
            max_connections=settings.max_connections,
            head_timeout=settings.head_timeout,
            body_timeout=settings.body_timeout,
            write_timeout=settings.write_timeout,
            keep_alive_timeout=settings.keep_alive_timeout,
        )


class BodyBudget:
    """Bytes of request bodies that all connections together may hold; who took some takes them off `held` again."""

    __slots__ = ("held", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0

    def take(self, size: int) -> None:
        """Raises `Refusal` 503 where the cap would be passed; then nothing is taken."""
        if self.held + size > self.limit:
            raise Refusal(
                503,
                "overloaded",
                "too many large requests at once, try again",
                type="server_error",
                retry_after_seconds=1,
            )
        self.held += size
