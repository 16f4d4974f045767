"""Heads that a connection has sent before.

An SDK sends the same head again and again on a kept connection, but for the length of the body. What was found in such
a head holds for the same bytes: it is not parsed, checked and looked through once more, which saves about a tenth of a
request's time. Any other head, a head in pieces, or one without a length takes the ordinary way.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec.structs import replace

from keyvault.proxy.http1.head import CHUNKED, Request
from keyvault.proxy.http1.limits import Limits

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(0|[1-9][0-9]*)\r", re.IGNORECASE)
_NAME: Final = b"content-length"
_MAX_DIGITS: Final = 10
_ZERO: Final = ord("0")


class Familiar:
    """The last whole head of a connection, around the digits of its Content-Length."""

    __slots__ = ("_after", "_at", "_before", "_limits", "_request")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._request: Request | None = None
        """Without its body, which is not kept beyond its time."""
        self._at = 0
        """Where among the headers its length is."""
        self._before = b""
        self._after = b""

    def learn(self, head: bytes, request: Request) -> None:
        """Remember a head that was read the ordinary way; `head` ends with its empty line."""
        digits = _LENGTH.search(head)
        if digits is None or request.body_length == CHUNKED or len(head) + _MAX_DIGITS > self._limits.max_head:
            self._request = None
            return
        self._request, self._before, self._after = replace(request), head[: digits.start(1)], head[digits.end(1) :]
        self._at = [name for name, _ in request.headers].index(_NAME)

    def recognise(self, data: bytes, now: float) -> tuple[Request, bytes] | None:
        """The request that `data` begins with, and what follows its head; None where it is not the known head."""
        known = self._request
        if known is None or not data.startswith(self._before):
            return None
        start = len(self._before)
        end = data.find(b"\r", start, start + _MAX_DIGITS + 1)
        digits = data[start:end]
        if end < 0 or not digits.isdigit() or not data.startswith(self._after, end):
            return None
        length = int(digits)
        if length > self._limits.max_body or (digits[0] == _ZERO and end - start > 1):
            return None
        rest = data[end + len(self._after) :]
        if length == known.body_length:
            return replace(known, started=now), rest
        headers = known.headers.copy()
        headers[self._at] = (_NAME, digits)
        return replace(known, started=now, body_length=length, headers=headers), rest
