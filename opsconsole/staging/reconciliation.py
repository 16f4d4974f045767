"""Whether the ledger says what the simulated providers saw.

Per target, exactly: every request a provider saw has its attempt row, and every row without one was never sent; what
the ledger calls served the provider completed; for those rows, where the provider told usage, each count is equal.
Attempts that ended early have counts of another basis; they are shown beside what was really sent, not compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from keyvault.domain.reports import AttemptLine, RequestDetail
from opsconsole.staging.simulation.counts import Ending, Seen


@dataclass(frozen=True, slots=True)
class Sums:
    """One side's counts for one target."""

    attempts: int
    served: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    unfinished_output_tokens: int


@dataclass(frozen=True, slots=True)
class TargetCheck:
    """Both sides of one target. `problems`: what differs, empty when all is equal."""

    target: str
    provider: Sums
    ledger: Sums
    known_cost_pico: int
    problems: tuple[str, ...]


def reconcile(seen: Mapping[str, Sequence[Seen]], requests: Iterable[RequestDetail]) -> list[TargetCheck]:
    """Compare, target by target. `seen`: target → what its provider saw of that model."""
    rows: dict[str, dict[str, AttemptLine]] = {target: {} for target in seen}
    for request in requests:
        for attempt in request.attempts:
            rows.setdefault(attempt.target, {})[f"{request.line.request_id}-{attempt.number}"] = attempt
    return [_check(target, seen.get(target, ()), attempts) for target, attempts in sorted(rows.items())]


def _check(target: str, seen: Sequence[Seen], rows: Mapping[str, AttemptLine]) -> TargetCheck:
    by_id = {one.client_request_id or "": one for one in seen}
    problems = [f"the provider saw {sent}, the ledger has no row" for sent in by_id if sent not in rows]
    if len(by_id) != len(seen):
        problems.append(f"the provider saw {len(seen)} requests under {len(by_id)} ids")
    for sent, row in rows.items():
        problems += [f"{sent}: {problem}" for problem in _differences(by_id.get(sent), row)]
    return TargetCheck(
        target,
        _provider_sums(seen, rows),
        _ledger_sums(rows.values(), by_id),
        sum(row.cost_pico or 0 for row in rows.values()),
        tuple(problems),
    )


def _differences(seen: Seen | None, row: AttemptLine) -> Iterable[str]:
    """What one row and what the provider saw of it do not agree on."""
    if row.outcome == "open":
        yield "still open"
    if seen is None:
        if row.outcome == "served" or row.status is not None:
            yield f"{row.outcome} with status {row.status}, but the provider never saw it"
        return
    if row.outcome == "served" and seen.ending is not Ending.COMPLETED:
        yield f"served, but the provider has it as {seen.ending}"
    if seen.ending is Ending.COMPLETED and row.outcome not in ("served", "aborted"):
        yield f"completed by the provider, but {row.outcome} in the ledger"
    if _is_exact(row):
        for name in ("input_tokens", "cached_input_tokens", "output_tokens"):
            theirs, ours = getattr(seen, name.replace("cached_input", "cached")), getattr(row, name) or 0
            if theirs != ours:
                yield f"{name} {ours}, the provider counted {theirs}"


def _is_exact(row: AttemptLine) -> bool:
    return row.outcome == "served" and row.basis == "provider"


def _provider_sums(seen: Sequence[Seen], rows: Mapping[str, AttemptLine]) -> Sums:
    """The provider's counts; tokens of those requests whose rows must be equal."""
    unseen = frozenset(sent for sent, row in rows.items() if not _is_exact(row))
    exact = [one for one in seen if one.ending is Ending.COMPLETED and one.client_request_id not in unseen]
    counted = {id(one) for one in exact}
    return Sums(
        attempts=len(seen),
        served=len(exact),
        input_tokens=sum(one.input_tokens for one in exact),
        cached_input_tokens=sum(one.cached_tokens for one in exact),
        output_tokens=sum(one.output_tokens for one in exact),
        unfinished_output_tokens=sum(one.output_tokens for one in seen if id(one) not in counted),
    )


def _ledger_sums(rows: Iterable[AttemptLine], by_id: Mapping[str, Seen]) -> Sums:
    rows = list(rows)
    exact = [row for row in rows if _is_exact(row)]
    return Sums(
        attempts=len(rows),
        served=len(exact),
        input_tokens=sum(row.input_tokens or 0 for row in exact),
        cached_input_tokens=sum(row.cached_input_tokens or 0 for row in exact),
        output_tokens=sum(row.output_tokens or 0 for row in exact),
        unfinished_output_tokens=sum(row.output_tokens or 0 for row in rows if not _is_exact(row)),
    )
