"""What providers say of work that is done: how it ended, and what it used.

Pure. A provider's own usage is believed, but for a batch that claims to have used nothing for requests that succeeded;
one line of results that worked and tells no usage makes the whole unknown, since a part would pass for the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from keyvault.domain.endpoints import Dialect
from keyvault.domain.ledger import Basis, Outcome, Usage
from keyvault.domain.objects import BATCHES
from keyvault.metering.deferred import Counted, End
from keyvault.proxy.dialects.usage import basis_of, count, fields_of, read_usage

_DONE: Final = frozenset({"completed", "failed", "cancelled", "canceled", "expired", "incomplete", "ended"})
_FAILED: Final = frozenset({"failed", "expired"})
_CANCELLED: Final = frozenset({"cancelled", "canceled"})
_NOTHING: Final = Usage(input=0, output=0)

_answer = msgspec.json.Decoder(dict[str, Any])


def is_done(answer: Mapping[str, Any]) -> bool:
    return (answer.get("processing_status") or answer.get("status")) in _DONE


def counted_in(kind: str, answer: Mapping[str, Any], model: str | None) -> list[Counted] | None:
    """What an answer about work that is done tells of it; None where its results may tell more."""
    usage, counts = read_usage(Dialect.OTHER, answer), fields_of(answer.get("request_counts"))
    told = answer.get("model")
    name = told if isinstance(told, str) and told else model or ""
    worked = count(counts.get("succeeded" if kind == "message_batch" else "completed"))
    if kind in BATCHES and worked == 0:
        return [Counted(name, _NOTHING, Basis.PROVIDER)]
    empty = usage is not None and not usage.input and not usage.output
    if usage is not None and basis_of(usage) is Basis.PROVIDER and not (kind in BATCHES and empty):
        return [Counted(name, usage, Basis.PROVIDER)]
    return None if kind in BATCHES else [Counted(name)]


def counted_in_results(kind: str, results: bytes, model: str | None) -> list[Counted]:
    """What the lines of a batch's results add up to, by model; unknown where a line that worked tells no usage."""
    sums: dict[str, Usage] = {}
    for line in results.splitlines():
        if not line.strip():
            continue
        try:
            answer = _answer_of(kind, _answer.decode(line))
        except msgspec.DecodeError:
            return [Counted(model or "")]
        if answer is None:
            continue
        usage, name = read_usage(_dialect(kind, answer), answer), str(answer.get("model") or model or "")
        if usage is None or basis_of(usage) is not Basis.PROVIDER:
            return [Counted(model or "")]
        sums[name] = _sum(sums.get(name), usage)
    if not sums:
        return [Counted(model or "", _NOTHING, Basis.PROVIDER)]
    return [Counted(name, usage, Basis.PROVIDER) for name, usage in sorted(sums.items())]


def _dialect(kind: str, answer: Mapping[str, Any]) -> Dialect:
    if kind == "message_batch":
        return Dialect.MESSAGES
    return Dialect.EMBEDDINGS if answer.get("object") == "list" else Dialect.OTHER


def _answer_of(kind: str, line: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The model's answer in one line of results; None where that request came to nothing."""
    if kind == "message_batch":
        result = fields_of(line.get("result"))
        return fields_of(result.get("message")) if result.get("type") == "succeeded" else None
    response = fields_of(line.get("response"))
    status = response.get("status_code")
    return fields_of(response.get("body")) if isinstance(status, int) and 200 <= status < 300 else None


def _sum(before: Usage | None, more: Usage) -> Usage:
    if before is None:
        return more
    pairs = ((getattr(before, name), getattr(more, name)) for name in Usage.__struct_fields__)
    return Usage(*(None if a is None and b is None else (a or 0) + (b or 0) for a, b in pairs))


def end_of(kind: str, answer: Mapping[str, Any], counted: Sequence[Counted]) -> End:
    """How the work ended. A batch that was stopped half-way has delivered what it had done."""
    status = str(answer.get("processing_status") or answer.get("status"))
    if kind in BATCHES and any(each.usage.output or each.usage.input for each in counted):
        return End(Outcome.SERVED)
    if status in _CANCELLED:
        return End(Outcome.ABORTED, "cancelled")
    if status in _FAILED:
        return End(Outcome.FAILED, status)
    return End(Outcome.SERVED)
