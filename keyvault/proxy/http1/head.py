"""A request's head: read by llhttp (httptools), then held to rules that llhttp leaves to its users.

Guarantees of a head that is returned: HTTP/1.0 or 1.1; one of the methods of `METHODS`; a target in origin-form of
printable ASCII; at most one Host, and exactly one on 1.1; framed in one way only, by a single Content-Length or by
`Transfer-Encoding: chunked` on 1.1; within the limits on size and count. It is the same however the bytes were cut.
Everything else raises `Refusal`; the connection cannot be used any further then.
"""

from __future__ import annotations

import re
from typing import Any, Final

import httptools
from msgspec import Struct, field

from keyvault.errors import Refusal
from keyvault.proxy.http1.limits import Limits

Headers = list[tuple[bytes, bytes]]
"""Lower-case names and values without outer blanks, in the order they came."""

METHODS: Final = {name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}

CHUNKED: Final = -1
"""The body length of a chunked request."""

_VERSIONS: Final = {b"HTTP/1.1": "1.1", b"HTTP/1.0": "1.0"}
_FRAMING: Final = frozenset((b"host", b"content-length", b"transfer-encoding", b"connection", b"expect"))
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*\Z")
_OTHER_METHOD = re.compile(rb"[A-Z]+(?: |\Z)")
_HEAD_END: Final = b"\r\n\r\n"


class Request(Struct):
    """One request. In a refused one, what could not be read is left at its default."""

    method: str = ""
    target: str = ""
    """Path and query, as sent."""
    path: str = ""
    """As sent, without the query."""
    query: str = ""
    version: str = "1.1"
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    peer: str = ""
    """The client's IP address."""
    started: float = 0.0
    """Loop time of the first byte."""
    body_length: int = 0
    """As announced; `CHUNKED` where it is not known beforehand."""
    keep_alive: bool = False
    expects_continue: bool = False
    lasting: dict[Any, Any] = field(default_factory=dict)
    """For what is worked out from the head alone: shared by all requests of a connection with the same head."""

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header, by its lower-case name; for Content-Length ask `body_length`."""
        first = self.lasting.get("first")
        if first is None:
            first = self.lasting["first"] = dict(reversed(self.headers))
            first.pop(b"content-length", None)
        value: bytes | None = first.get(name)
        return value

    def all(self, name: bytes) -> list[bytes]:
        return [value for candidate, value in self.headers if candidate == name]


class HeadReader:
    """Reads one head, in as many pieces as it comes; a new one for each request.

    llhttp sees every byte as it comes, so that what is wrong is refused as soon as it shows.
    """

    __slots__ = ("_complete", "_headers", "_limits", "_parser", "_raw", "head", "request")

    def __init__(self, request: Request, limits: Limits) -> None:
        self.request = request
        self._limits = limits
        self._raw = b""
        self._headers = request.headers
        self._complete = False
        self.head = b""
        """The head's bytes, once it is complete."""
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> bytes | None:
        """What follows the head, or None while it is not complete."""
        seen = len(self._raw)
        raw = self._raw = self._raw + data if seen else data
        end = raw.find(_HEAD_END, seen - 3 if seen > 3 else 0)
        size = len(raw) if end < 0 else end + 4
        limit = self._limits.max_head
        self._parse(raw[seen : size if size <= limit else limit])
        if size > limit:
            raise self._too_large()
        if self._complete and end >= 0:
            self._read_request_line(raw[: raw.find(b"\r\n")])
            self._read_framing([header for header in self._headers if header[0] in _FRAMING])
            self.head = raw[:size]
            return raw[size:]
        if (line_end := raw.find(b"\r\n")) >= 0:
            self._read_request_line(raw[:line_end])
        return None

    # What llhttp calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        self._complete = True

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # an ordinary request to us: whether to change protocols is the handler's to say
        except httptools.HttpParserInvalidMethodError:
            raise self._not_a_method() from None
        except httptools.HttpParserError as error:
            reason = str(error)
            if reason == "Invalid HTTP version":
                raise _unsupported_version() from None
            raise malformed(reason[:1].lower() + reason[1:]) from None

    def _read_request_line(self, line: bytes) -> None:
        """llhttp takes other protocols, several blanks, empty lines before, and no version at all (HTTP/0.9)."""
        words = line.split(b" ")
        if len(words) != 3:
            raise malformed("the request line is not METHOD TARGET HTTP/1.1")
        method, target, version = words
        if version not in _VERSIONS:
            raise _unsupported_version()
        if method not in METHODS:
            raise Refusal(501, "method_not_supported", "the request's method is not supported here")
        if len(target) > self._limits.max_target:
            raise _target_too_long()
        if not target.startswith(b"/") or b"#" in target:
            raise malformed("the request's target must be a path")
        request = self.request
        request.method, request.version = METHODS[method], _VERSIONS[version]
        request.target = target.decode("ascii")
        request.path, _, request.query = request.target.partition("?")

    def _read_framing(self, headers: Headers) -> None:
        request = self.request
        if len(self._headers) > self._limits.max_headers:
            raise Refusal(431, "too_many_headers", f"the request has more than {self._limits.max_headers} headers")
        hosts = bodies = 0
        request.keep_alive = request.version == "1.1"
        for name, value in headers:
            if name == b"host":
                hosts += 1
                if not _HOST.match(value):
                    raise malformed("the Host header is not a host")
            elif name == b"connection":
                request.keep_alive = _keep_alive(value.lower(), request.keep_alive)
            elif name == b"expect":
                request.expects_continue = _expects_continue(value, request.version)
            else:
                bodies += 1
                is_length = name == b"content-length"
                request.body_length = self._length(value) if is_length else _chunked(value, request.version)
        if hosts > 1 or (hosts == 0 and request.version == "1.1"):
            raise malformed("the request must have exactly one Host header")
        if bodies > 1:
            raise malformed("the request's body is framed more than once")

    def _length(self, value: bytes) -> int:
        if not value.isdigit():
            raise malformed("the Content-Length is not a number")
        length = int(value) if len(value) < 20 else self._limits.max_body + 1
        if length > self._limits.max_body:
            raise body_too_large(self._limits)
        return length

    def _not_a_method(self) -> Refusal:
        if self._raw.startswith(b"\x16"):
            return malformed("this port speaks plain http, and the client began a TLS handshake")
        if _OTHER_METHOD.match(self._raw):
            return Refusal(501, "method_not_supported", "the request's method is not known")
        return malformed("this is not http")

    def _too_large(self) -> Refusal:
        if b"\r\n" not in self._raw[: self._limits.max_head]:
            return _target_too_long()
        return Refusal(431, "head_too_large", f"the request's head is larger than {self._limits.max_head} bytes")


def malformed(reason: str) -> Refusal:
    """A request that is not HTTP as we accept it."""
    return Refusal(400, "malformed_request", f"malformed request: {reason}")


def body_too_large(limits: Limits) -> Refusal:
    return Refusal(413, "body_too_large", f"the request's body is larger than {limits.max_body} bytes")


def _target_too_long() -> Refusal:
    return Refusal(414, "target_too_long", "the request's target is too long")


def _unsupported_version() -> Refusal:
    return Refusal(505, "http_version_not_supported", "only HTTP/1.1 and HTTP/1.0 are spoken here")


def _chunked(value: bytes, version: str) -> int:
    if version != "1.1":
        raise malformed("Transfer-Encoding needs HTTP/1.1")
    if value.lower() != b"chunked":
        raise Refusal(501, "coding_not_supported", "the only Transfer-Encoding supported is chunked")
    return CHUNKED


def _expects_continue(value: bytes, version: str) -> bool:
    if value.lower() != b"100-continue":
        raise Refusal(417, "expectation_failed", "only 100-continue can be expected")
    return version == "1.1"


def _keep_alive(value: bytes, so_far: bool) -> bool:
    """`close` wins over everything; `keep-alive` counts on HTTP/1.0."""
    if value == b"keep-alive":
        return True
    options = [option.strip(b" \t") for option in value.split(b",")]
    return b"close" not in options and (so_far or b"keep-alive" in options)
