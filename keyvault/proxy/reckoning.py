"""How many tokens a request is reckoned to take, before anybody has counted: cheap, and meant for rate limits only.

Input is a token for four bytes of the body, which is about right for English text and for scripts of three bytes a
character; pictures and files that lie in the body as base64 are taken out and count for a fixed number each. Output is
the cap that the caller set, else a usual answer, for each choice. A provider's own count replaces all of it later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from keyvault.domain.endpoints import Dialect
from keyvault.proxy.dialects.fields import JsonBody
from keyvault.proxy.dialects.plain import TALK

if TYPE_CHECKING:
    from keyvault.proxy.admission import Call

BYTES_PER_TOKEN: Final = 4
USUAL_OUTPUT: Final = 1_000
"""Tokens of an answer without a cap."""
TOKENS_PER_BLOB: Final = 1_500
"""A picture of a usual size."""
SMALLEST_BLOB: Final = 1_024
_QUOTES: Final = 12
"""The content of a blob begins within so many quotation marks after the word `base64`."""
_ANSWERS: Final = frozenset({Dialect.CHAT, Dialect.COMPLETIONS, Dialect.RESPONSES, Dialect.MESSAGES})
_READS: Final = frozenset({Dialect.EMBEDDINGS, Dialect.MODERATIONS})


def reckoned(call: Call) -> int:
    """Tokens, input and output together; 0 for what is free or is not priced by tokens."""
    dialect, body, raw = call.dialect, call.body, call.exchange.request.body
    answers = dialect in _ANSWERS
    if call.asks_for_free or not (answers or dialect in _READS):
        return 0
    if type(body) is JsonBody and (not body.looked_through or TALK.isdisjoint(body.looked_through)):  # only text
        tokens = len(raw) // BYTES_PER_TOKEN or 1
    else:
        tokens = reckoned_input(raw)
    return tokens + body.choices * (USUAL_OUTPUT if body.output_cap is None else body.output_cap) if answers else tokens


def reckoned_input(body: bytes) -> int:
    """Tokens of a body of JSON, at least 1."""
    size, blobs = len(body), 0
    at = body.find(b"base64") if size > SMALLEST_BLOB else -1
    while at >= 0:
        length, at = _blob(body, at)
        if length:
            size, blobs = size - length, blobs + 1
        at = body.find(b"base64", at)
    return max(1, size // BYTES_PER_TOKEN + blobs * TOKENS_PER_BLOB)


def _blob(body: bytes, at: int) -> tuple[int, int]:
    """The length of the long string that begins soon after `at`, 0 for none; and where to go on."""
    start = at
    for _ in range(_QUOTES):
        end = body.find(b'"', start)
        if end < 0:
            return 0, len(body)
        if end - start >= SMALLEST_BLOB and b" " not in body[start : start + SMALLEST_BLOB]:
            return end - start, end
        start = end + 1
    return 0, at + 6
