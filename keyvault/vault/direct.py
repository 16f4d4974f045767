"""One plain call to a provider, away from the hot path: for tests of an upstream and other rare questions.

Proxies, addresses and certificates follow the rules of `keyvault.domain.outgoing`, as relayed calls do. The connection
goes to a checked address, so that a second look-up cannot lead elsewhere; through a proxy the proxy resolves.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from keyvault.domain.outgoing import Proxies, Proxy, Unreachable, check_unresolved, tls_context, usable_addresses
from keyvault.vault.credentials import OpenUpstream

MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    content: Any = field(repr=False)
    """The decoded JSON body, None where it is none."""


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer came: `code` for programs, `text` for people."""

    code: str
    text: str


def ask(
    opened: OpenUpstream,
    method: str,
    path: str,
    body: Mapping[str, Any] | None,
    timeout: float,
    environ: Mapping[str, str],
) -> Answer | Failure:
    """Send one request and read its answer."""
    headers = {"accept-encoding": "identity", **opened.upstream.extra_headers}
    headers.update((name.decode(), value.decode()) for name, value in opened.auth_headers())
    try:
        with (
            _client(opened, timeout, environ) as client,
            client.stream(method, opened.base_url + path, headers=headers, json=body) as response,
        ):
            return Answer(response.status_code, _decoded(_read(response)))
    except Unreachable as error:
        return Failure(error.code, error.text)
    except (httpx.HTTPError, ssl.SSLError, OSError) as error:
        return _failure(error, timeout)


def _client(opened: OpenUpstream, timeout: float, environ: Mapping[str, str]) -> httpx.Client:
    url = httpx.URL(opened.base_url)
    allow_private = opened.upstream.allow_private
    context = tls_context(opened.upstream.ca_file)
    proxy = Proxies(environ).proxy_for(url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80))
    transport: httpx.BaseTransport
    if proxy is None:
        transport = _CheckedAddress(httpx.HTTPTransport(verify=context, trust_env=False), allow_private)
    else:
        check_unresolved(url.host, allow_private)
        transport = httpx.HTTPTransport(verify=context, proxy=_for_httpx(proxy), trust_env=False)
    return httpx.Client(transport=transport, timeout=timeout, trust_env=False, follow_redirects=False)


def _for_httpx(proxy: Proxy) -> httpx.Proxy:
    """A proxy itself is always verified by the system's authorities."""
    headers = {} if proxy.authorization is None else {"proxy-authorization": proxy.authorization.decode()}
    return httpx.Proxy(proxy.url, headers=headers, ssl_context=tls_context(None) if proxy.scheme == "https" else None)


class _CheckedAddress(httpx.BaseTransport):
    """Resolves, checks, and connects to what was checked; the certificate is still the host's."""

    def __init__(self, inner: httpx.BaseTransport, allow_private: bool) -> None:
        self._inner = inner
        self._allow_private = allow_private

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        request.extensions["sni_hostname"] = host
        addresses = self._resolve(host, request.url.port)
        original = request.url
        for address in addresses[:-1]:
            request.url = original.copy_with(host=address)
            try:
                return self._inner.handle_request(request)
            except httpx.ConnectError:
                continue
        request.url = original.copy_with(host=addresses[-1])
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()

    def _resolve(self, host: str, port: int | None) -> Sequence[str]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            raise Unreachable("dns_failure", f"the host {host} cannot be resolved") from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        return usable_addresses(host, addresses, self._allow_private)


def _read(response: httpx.Response) -> bytes:
    data = b""
    for piece in response.iter_raw():
        data += piece
        if len(data) > MAX_ANSWER_BYTES:
            raise Unreachable("protocol_error", f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
    return data


def _decoded(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _failure(error: Exception, timeout: float) -> Failure:
    """What happened, in our words: a library's text may repeat what was sent."""
    if isinstance(error, httpx.ConnectTimeout):
        return Failure("connect_timeout", f"no connection within {timeout:g} seconds")
    if isinstance(error, httpx.TimeoutException):
        return Failure("timeout", f"no answer within {timeout:g} seconds")
    if isinstance(error, httpx.ProxyError):
        return Failure("proxy_error", "the proxy refused the connection")
    if reason := _certificate_problem(error):
        return Failure("tls_error", f"the certificate was refused: {reason}")
    if isinstance(error, httpx.ConnectError):
        return Failure("connect_refused", "the connection was refused")
    return Failure("protocol_error", "the connection broke or the answer could not be read")


def _certificate_problem(error: BaseException) -> str | None:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return cause.verify_message.lower()
        if isinstance(cause, ssl.SSLError):
            return (cause.reason or "tls failed").lower().replace("_", " ")
        cause = cause.__cause__ or cause.__context__
    return None
