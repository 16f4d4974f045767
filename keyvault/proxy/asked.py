"""What a head asks for: worked out once for all requests of a connection that have the same head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from keyvault.domain.endpoints import ENDPOINTS, Dialect, Family
from keyvault.proxy.http1 import Request

if TYPE_CHECKING:
    from keyvault.domain.scopes import Payer
    from keyvault.keys.directory import UsableToken

PREFIX: Final = "/v1"
USAGE_PATH: Final = "/gateway/v1/usage"
_LONGEST_CLIENT: Final = 80


class Asked:
    """The path and what follows from it, and what was found out since about whoever sends this head. The latter holds
    as of a reading of the callers, which is its first part."""

    __slots__ = (
        "client",
        "content_type",
        "dialect",
        "encoding",
        "endpoint",
        "family",
        "free",
        "let_in",
        "models",
        "path",
        "payer",
        "pin",
        "token",
        "usage",
    )

    def __init__(self, request: Request) -> None:
        path = request.path
        self.path = path[len(PREFIX) :] if path.startswith(PREFIX + "/") else ""
        self.endpoint = ENDPOINTS.get(self.path) if request.method == "POST" else None
        self.dialect = self.endpoint.dialect if self.endpoint else Dialect.OTHER
        self.family = family_of(request)
        self.client = (request.header(b"user-agent") or b"")[:_LONGEST_CLIENT].decode("ascii", "replace")
        """What the caller calls itself, such as `OpenAI/Python 3.3.0`."""
        self.content_type = request.header(b"content-type") or b""
        self.encoding = request.header(b"content-encoding")
        self.pin = request.header(b"x-gateway-pin")
        self.models = request.method == "GET" and (self.path == "/models" or self.path.startswith("/models/"))
        self.free = self.models or (self.endpoint is not None and self.endpoint.free)
        self.usage = not self.path and request.method in ("GET", "HEAD") and path == USAGE_PATH
        """It asks what its key has used: the one thing that the gateway answers by itself, so it is not below `/v1`."""
        self.token: tuple[int, UsableToken] | None = None
        self.let_in: int | None = None
        """The reading by which its address and its path were found to be allowed."""
        self.payer: tuple[int, Payer, str | None] | None = None


def asked(request: Request) -> Asked:
    found: Asked | None = request.lasting.get("asked")
    if found is None:
        found = request.lasting["asked"] = Asked(request)
    return found


def family_of(request: Request) -> Family:
    """Whose SDK will read an error: told by the path, else by the header every Anthropic client sends."""
    if request.path.startswith("/v1/messages") or request.header(b"anthropic-version") is not None:
        return Family.ANTHROPIC
    return Family.OPENAI
