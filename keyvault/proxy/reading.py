"""Reading an answer that was collected: what it tells of its cost, and whether it is an answer at all.

A status of 200 is not enough. Where the dialect's SDK expects JSON, anything else (a page of a proxy in between, a text
that was cut) is *malformed*; so is a whole answer where a stream was asked for. What was compressed unasked, the
answers of unknown paths and audio are not looked into. Of an answer too large to be collected only the end is read.
"""

from __future__ import annotations

from typing import Final

from keyvault.domain.endpoints import Dialect
from keyvault.proxy.admission import Call
from keyvault.proxy.dialects.meter import Metered, read_answer
from keyvault.proxy.ending import Ending
from keyvault.proxy.headers import Headers

STREAMED: Final = frozenset({Dialect.CHAT, Dialect.COMPLETIONS, Dialect.RESPONSES, Dialect.MESSAGES})
"""Dialects whose streams are events and nothing else."""
JSON: Final = STREAMED | {Dialect.EMBEDDINGS, Dialect.MODERATIONS, Dialect.IMAGES}
"""Dialects whose whole answers are JSON objects."""
_COMPLETE: Final = frozenset({200, 204, 205})
"""Statuses that say: this is all."""


def expects_stream(call: Call) -> bool | None:
    """Whether the client's SDK can read only a stream, or only what is none; None where either will do."""
    if call.dialect in STREAMED:
        return call.body.stream
    return False if call.dialect in JSON and not call.body.stream else None


def read(call: Call, ending: Ending, secrets: tuple[str, ...]) -> None:
    """Note in the ending what a collected answer tells, and that it failed if it is none."""
    if ending.metered is not None or ending.status is None or ending.failure is not None or ending.cancelled:
        return
    told = ending.read = read_answer(call.dialect, ending.status, ending.body, ending.headers, secrets)
    if ending.status in _COMPLETE and not ending.committed and (call.body.stream or not told.readable):
        ending.failure = _malformed(call, ending, told)


def _malformed(call: Call, ending: Ending, told: Metered) -> tuple[str, str] | None:
    expected = expects_stream(call)
    if expected is None:
        return None
    if not ending.body:
        return "malformed_answer", f"the provider's answer of status {ending.status} is empty"
    if told.error is not None or _header(ending.headers, b"content-encoding", "") != "":
        return None
    kind = ascii(_header(ending.headers, b"content-type", "no content type").partition(";")[0][:60])
    if expected:
        return "wrong_content_type", f"a stream was asked for, the provider sent {kind}"
    return "malformed_answer", f"the provider's answer is not JSON but {kind}"


def _header(headers: Headers, name: bytes, otherwise: str) -> str:
    found = next((value for each, value in headers if each == name), None)
    return otherwise if found is None or found.lower() == b"identity" else found.decode("latin-1")
