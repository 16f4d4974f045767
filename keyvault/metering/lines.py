"""Rows of single attempts as people read them: an attempt's line, a request's line over all its attempts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from keyvault.clock import from_ms
from keyvault.domain.ledger import Basis, Outcome
from keyvault.domain.reports import AttemptLine, RequestDetail, RequestLine
from keyvault.metering.groups import of_key, of_payer
from keyvault.storage.reports import Names

OPEN: Final = "open"


def request_lines(rows: Sequence[Any], names: Names) -> list[RequestLine]:
    """Requests, in the order of their rows of attempts."""
    return [_request(list(group), names) for _, group in groupby(rows, key=attrgetter("request_id"))]


def request_detail(settled: Sequence[Any], opened: Sequence[Any], names: Names) -> RequestDetail:
    """A request from its settled and open attempts, at least one of either."""
    numbers = {row.number for row in settled}
    still_open = [row for row in opened if row.number not in numbers]
    lines = [_attempt(row, names) for row in settled] + [_open_attempt(row, names) for row in still_open]
    lines.sort(key=attrgetter("number"))
    first = settled[0] if settled else still_open[0]
    return RequestDetail(_line(first, lines, names), first.generation, tuple(lines))


def _request(rows: list[Any], names: Names) -> RequestLine:
    return _line(rows[0], [_attempt(row, names) for row in rows], names)


def _line(row: Any, attempts: Sequence[AttemptLine], names: Names) -> RequestLine:
    """`row`: any of the request's rows, for what all of them share."""
    last = attempts[-1]
    waited = (last.at - attempts[0].at).total_seconds() * 1000
    key = of_key(row.key_id, names)
    [payer] = of_payer(row.key_id, row.project_id, names)["project"]
    customer, _, project = payer.partition("/")
    return RequestLine(
        request_id=row.request_id,
        at=attempts[0].at,
        customer=customer,
        project=project,
        key=key["key"][0],
        env=key["env"][0],
        tags=json.loads(row.tags) if row.tags else {},
        alias=names.aliases.get(row.alias_id, f"#{row.alias_id}"),
        model=last.target.partition("/")[2],
        target=last.target,
        dialect=last.dialect,
        status=last.status,
        outcome=last.outcome,
        error=last.error_code,
        attempts=len(attempts),
        failed_over=tuple(f"{before.target}: {before.error_code or before.status}" for before in attempts[:-1]),
        stream=last.stream,
        input_tokens=_known(attempts, "input_tokens"),
        cached_input_tokens=_known(attempts, "cached_input_tokens"),
        cache_write_tokens=_known(attempts, "cache_write_tokens"),
        output_tokens=_known(attempts, "output_tokens"),
        reasoning_tokens=_known(attempts, "reasoning_tokens"),
        cost_pico=_all(attempts, "cost_pico"),
        charge_pico=_all(attempts, "charge_pico"),
        basis=last.basis,
        first_content_ms=_since(last.first_content_ms, waited),
        total_ms=_since(last.total_ms, waited),
    )


def _known(attempts: Sequence[AttemptLine], name: str) -> int | None:
    """The sum of what is known, None where nothing is; attempts that came to nothing know nothing but that."""
    counted = [attempt for attempt in attempts if attempt.input_tokens != 0 or attempt.output_tokens != 0]
    known = [value for attempt in counted or attempts if (value := getattr(attempt, name)) is not None]
    return sum(known) if known else None


def _all(attempts: Sequence[AttemptLine], name: str) -> int | None:
    """The sum, None where any part is not known."""
    values = [getattr(attempt, name) for attempt in attempts]
    return None if None in values else sum(values)


def _since(ms: int | None, waited: float) -> int | None:
    return None if ms is None else ms + round(waited)


def _attempt(row: Any, names: Names) -> AttemptLine:
    return AttemptLine(
        number=row.number,
        at=from_ms(row.started_ms),
        target=_target(row, names),
        dialect=row.dialect,
        stream=bool(row.stream),
        status=row.status,
        outcome=Outcome(row.outcome).label,
        error_code=row.error_code,
        error_text=row.error_text,
        provider_request_id=row.provider_request_id,
        input_tokens=row.input,
        cached_input_tokens=row.cached_input,
        cache_write_tokens=_sum(row.cache_write, row.cache_write_1h),
        output_tokens=row.output,
        reasoning_tokens=row.reasoning,
        audio_input_tokens=row.audio_input,
        audio_output_tokens=row.audio_output,
        images=row.images,
        basis=Basis(row.basis).label,
        price_id=row.price_id,
        cost_pico=row.cost_pico,
        charge_pico=row.charge_pico,
        bound_pico=row.bound_pico,
        first_content_ms=row.first_content_ms,
        total_ms=row.total_ms,
        hold_pico=row.hold_pico,
        doubt_pico=row.doubt_pico,
    )


def _open_attempt(row: Any, names: Names) -> AttemptLine:
    return AttemptLine(
        number=row.number,
        at=from_ms(row.started_ms),
        target=_target(row, names),
        dialect=row.dialect,
        stream=bool(row.stream),
        status=None,
        outcome=OPEN,
        error_code=None,
        error_text=None,
        provider_request_id=None,
        input_tokens=None,
        cached_input_tokens=None,
        cache_write_tokens=None,
        output_tokens=None,
        reasoning_tokens=None,
        audio_input_tokens=None,
        audio_output_tokens=None,
        images=None,
        basis=Basis.UNKNOWN.label,
        price_id=None,
        cost_pico=None,
        charge_pico=None,
        bound_pico=row.bound_pico,
        first_content_ms=None,
        total_ms=None,
        hold_pico=row.hold_pico,
    )


def _target(row: Any, names: Names) -> str:
    return "/".join(names.targets.get(row.target_id, (f"#{row.target_id}", "")))


def _sum(five_minutes: int | None, one_hour: int | None) -> int | None:
    return None if five_minutes is None and one_hour is None else (five_minutes or 0) + (one_hour or 0)
