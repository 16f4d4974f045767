"""How a provider's answer ended, and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from msgspec import Struct, field

from keyvault.domain.outgoing import names_credential
from keyvault.proxy.dialects.errors import read_error
from keyvault.proxy.dialects.meter import Metered
from keyvault.proxy.headers import Headers

WITHDRAWN: Final = ("access_withdrawn", "the access of this key was withdrawn")
"""Error code and text of an answer that was cut."""


class Ending(Struct):
    """How a provider's answer ended. `failure` is None when it is complete as the provider meant it."""

    status: int | None = None
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    """The collected answer; for a stream or a large answer what is still held back."""
    committed: bool = False
    """The client has been sent a head: no other target can be tried."""
    metered: Metered | None = None
    """What a stream's meter read."""
    read: Metered | None = None
    """What was read in an answer that is no stream."""
    failure: tuple[str, str] | None = None
    """Error code and text."""
    told: bool = False
    """The provider itself said so, in an error event that `body` ends with."""
    sent: bool = True
    """The request may have reached the provider."""
    cancelled: bool = False
    """The answer was given up on before its end."""
    cut: bool = False
    """The operator took the caller's access away meanwhile."""
    held: bool = False
    """It was ended because it had reached what was held for it; `body` ends as the dialect ends."""
    first_content_at: float | None = None
    stale_connection: bool = False
    """A kept connection was dead before it carried anything: worth one more try."""

    @property
    def refused(self) -> bool:
        """The provider answered, but not with what was asked for: an error, or a redirect, which is never followed."""
        return self.status is not None and not 200 <= self.status < 300

    @property
    def refuses_credential(self) -> bool:
        """Whether the provider says of the credential that it is none: only its own test can tell for sure."""
        return self.status == 401 or (self.status == 403 and names_credential(read_error(self.body)[0]))


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an answer may take, in seconds."""

    connect: float
    first_content: float
    idle: float
    total: float
    """The whole request, all attempts."""
