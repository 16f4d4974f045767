"""Where one asks, and as whom."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from keyvault.errors import UsageError
from keyvault.secrets import Secret


@dataclass(frozen=True, slots=True)
class Place:
    """A base URL with what every request to it carries."""

    base_url: str
    """With its version, such as `http://127.0.0.1:8900/v1`, as an SDK takes it."""
    secret: Secret | None = field(default=None, repr=False)
    """Sent as an OpenAI SDK and as an Anthropic SDK would, according to the path."""
    headers: Mapping[str, str] = field(default_factory=dict)
    ca_file: str = ""
    """Certificates to trust beside the system's own; empty: none."""

    @classmethod
    def at(cls, url: str, secret: Secret | None = None, **more: str) -> Place:
        """A place by the URL a person gives: without a path it means `/v1`. Raises `UsageError`."""
        try:
            parts = urlsplit(url)
            known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # brackets that do not match, a port that is none
            known = False
        if not known:
            raise UsageError(f"not the base URL of an API: {url[:100]!a}", hint="such as https://api.openai.com/v1")
        if "@" in parts.netloc or parts.query or parts.fragment:  # may be a credential, so it is not repeated
            hint = "such as https://api.openai.com/v1; a key comes by --key-file"
            raise UsageError(f"a base URL holds nothing but host and path: {parts.hostname}", hint=hint)
        path = parts.path.rstrip("/") or "/v1"
        return cls(f"{parts.scheme}://{parts.netloc}{path}", secret, more)

    def trust(self) -> ssl.SSLContext | bool:
        """Whose certificates are believed, as httpx takes it; without TLS nothing is read, which takes a while."""
        if self.base_url.startswith("https:"):
            return ssl.create_default_context(cafile=self.ca_file or None)
        return False

    def url(self, path: str) -> str:
        """The URL of a path such as `/chat/completions`."""
        return self.base_url + path

    def headers_for(self, path: str) -> dict[str, str]:
        """The headers of a request to a path, the secret with them."""
        found = {"accept-encoding": "identity", "user-agent": "gwctl", **self.headers}
        if path.startswith("/messages"):
            found.setdefault("anthropic-version", "2023-06-01")
            if self.secret is not None:
                found["x-api-key"] = self.secret.reveal()
        elif self.secret is not None:
            found["authorization"] = f"Bearer {self.secret.reveal()}"
        return found
