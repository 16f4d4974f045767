"""Tells a webhook of an alert: one POST, signed where a secret is set, never longer than a few seconds.

The URL may hold a token, so nothing here shows more of it than its host: no error, no log line, no document. Redirects
are not followed. The signature is that of Stripe and others: `x-gateway-signature: t=SECONDS,v1=HEX`, where HEX is the
HMAC-SHA256 of `SECONDS.BODY` under the secret.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from keyvault.clock import Clock, rfc3339
from keyvault.domain.alerts import Alert
from keyvault.domain.outgoing import Proxies, Proxy, Unreachable, tls_context
from keyvault.errors import ConfigurationError, Unavailable
from keyvault.secrets import Secret
from keyvault.settings import Settings

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS: Final = 10.0
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where alerts are posted."""

    url: Secret
    slack: bool = False
    secret: Secret | None = None
    proxy: Proxy | None = None
    tls: ssl.SSLContext | None = None

    @classmethod
    def of(cls, settings: Settings, environ: Mapping[str, str] = os.environ) -> Webhook | None:
        """The one that the settings name, None where they name none. Raises `ConfigurationError`."""
        if not settings.webhook:
            return None
        proxy = _checked(settings.webhook, Proxies(environ), plain=settings.webhook_plain)
        secret = _secret_in(settings.webhook_secret_file)
        # Certificates and httpx are loaded here, once: while requests are served there is no time for it.
        import httpx  # noqa: F401

        tls = None if urlsplit(settings.webhook).scheme == "http" else tls_context(None)
        return cls(Secret(settings.webhook), settings.webhook_format == "slack", secret, proxy, tls)

    @property
    def shown(self) -> str:
        """What may be shown of its URL."""
        parts = urlsplit(self.url.reveal())
        return f"{parts.scheme}://{parts.hostname}/…"

    async def tell(self, alert: Alert, clock: Clock) -> int:
        """Post an alert; the HTTP status of the answer, which is a success. Raises `Unavailable` with the reason where
        it was not taken."""
        import httpx

        body = json.dumps(_slack(alert) if self.slack else message(alert)).encode()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS), self._client() as client:
                headers = {"content-type": "application/json", **self._signature(body, clock)}
                async with client.stream("POST", self.url.reveal(), content=body, headers=headers) as answer:
                    status = answer.status_code
        except (TimeoutError, httpx.TimeoutException):
            raise self._not_taken(f"no answer within {TIMEOUT_SECONDS:g} s") from None
        except (httpx.HTTPError, ssl.SSLError, OSError) as error:
            raise self._not_taken(_reason(error)) from None
        if not 200 <= status < 300:
            raise self._not_taken(f"it answered with http status {status}")
        return status

    def _client(self) -> httpx.AsyncClient:
        import httpx

        proxy = None
        if self.proxy is not None:
            authorization = self.proxy.authorization
            headers = {} if authorization is None else {"proxy-authorization": authorization.decode()}
            proxy = httpx.Proxy(self.proxy.url, headers=headers)
        return httpx.AsyncClient(trust_env=False, proxy=proxy, verify=self.tls or False, timeout=TIMEOUT_SECONDS)

    def _signature(self, body: bytes, clock: Clock) -> dict[str, str]:
        if self.secret is None:
            return {}
        seconds = clock.now_ms() // 1000
        made = hmac.new(self.secret.reveal().encode(), f"{seconds}.".encode() + body, "sha256").hexdigest()
        return {"x-gateway-signature": f"t={seconds},v1={made}"}

    def _not_taken(self, reason: str) -> Unavailable:
        return Unavailable(f"the webhook {self.shown} did not take the message: {reason}", hint="gwctl alerts test")


def trial(clock: Clock) -> Alert:
    """What is told where there is nothing to tell: an alert of kind `test`, which is on no record."""
    now = clock.now()
    return Alert(0, "test", "webhook", "a test: the webhook is reached", now, now, 1)


def message(alert: Alert) -> Mapping[str, Any]:
    """An alert as JSON tells it; `id` and `state` together are the same in every repetition of a message."""
    return {
        "id": alert.id,
        "state": "open" if alert.resolved_at is None else "resolved",
        "kind": alert.kind,
        "scope": alert.scope,
        "text": alert.text,
        "count": alert.count,
        "first_at": rfc3339(alert.first_at),
        "last_at": rfc3339(alert.last_at),
        "resolved_at": rfc3339(alert.resolved_at),
        "gateway": socket.gethostname(),
    }


def _slack(alert: Alert) -> Mapping[str, Any]:
    """What Slack, Mattermost, Rocket.Chat and Discord (at `/slack`) take."""
    sign = ":white_check_mark: over" if alert.resolved_at else ":warning:"
    text = f"{sign} *{alert.kind}* {alert.scope}: {alert.text} ({socket.gethostname()})"
    return {"text": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}


def _checked(url: str, proxies: Proxies, *, plain: bool) -> Proxy | None:
    """The proxy to reach a URL by, if any. Raises `ConfigurationError` where it cannot be a webhook's."""
    hint = "write it like https://HOST/PATH"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in ("http", "https") or not url.isprintable() or " " in url:
        raise ConfigurationError("alerts.webhook: not a URL", hint=hint)
    if parts.scheme == "http" and host not in LOOPBACK and not plain:
        raise ConfigurationError(
            "alerts.webhook: plain http is for this machine only", hint="https, or alerts.webhook_plain = true"
        )
    try:
        return proxies.proxy_for(parts.scheme, host, port or (443 if parts.scheme == "https" else 80))
    except Unreachable as error:
        raise ConfigurationError(f"alerts.webhook: {error.text}") from None


def _secret_in(path: str) -> Secret | None:
    if not path:
        return None
    try:
        found = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text"
        raise ConfigurationError(f"alerts.webhook_secret_file: {path}: {reason.lower()}") from None
    if not found:
        raise ConfigurationError(f"alerts.webhook_secret_file: {path} is empty")
    return Secret(found)


def _reason(error: Exception) -> str:
    """In plain words, without the URL that some errors quote."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, socket.gaierror):
            return "its name is not known"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
        cause = cause.__cause__ or cause.__context__
    return f"the connection broke ({type(error).__name__})"
