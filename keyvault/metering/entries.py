"""Turns attempts and settlements into the ledger's rows, and adds them up into totals.

What is stored is bounded here: a text is cut and cleaned of what databases refuse, a count or an amount that no real
request reaches is taken as unknown, so that no provider's answer can overflow a sum. An attempt belongs to the minute,
quarter and day in which it started. A request counts once: with its final attempt, which is an error where it failed
or was lost. An attempt that is known to have neither tokens nor a cost counts as free, not by the basis of its counts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Final

from msgspec.structs import replace

from keyvault.domain.latencies import LATENCY_BOUNDS_MS
from keyvault.domain.ledger import NO_USAGE, Basis, OpenAttempt, Outcome, Settlement
from keyvault.storage.adding import Amounts
from keyvault.storage.ledger_statements import ADDED, NO_NUMBER, NO_TEXT, SELDOM, with_seldom

MAX_TEXT: Final = 500
MAX_COUNT: Final = 2**31 - 1
"""No request has so many tokens; a larger count is not believed."""
MAX_PICO: Final = 10**16
"""Ten thousand dollars for one attempt; a larger amount is not believed."""

MINUTE_MS: Final = 60_000
MINUTES_PER_QUARTER: Final = 15
MINUTES_PER_DAY: Final = 1_440

Key = tuple[int, ...]
"""Bucket, key id, alias id, target id, id of the project that pays."""

WIDTH: Final = len(ADDED)
_REQUESTS, _ATTEMPTS, _ERRORS, _FAILURES = map(ADDED.index, ("requests", "attempts", "errors", "failures"))
_INPUT, _CACHED, _WRITTEN = map(ADDED.index, ("input", "cached_input", "cache_write"))
_OUTPUT, _REASONING = map(ADDED.index, ("output", "reasoning"))
_COST, _CHARGE, _DOUBT = map(ADDED.index, ("cost_pico", "charge_pico", "doubt_pico"))
_UNKNOWN_COST, _FREE = map(ADDED.index, ("unknown_cost", "free"))
_BASIS: Final = [ADDED.index(f"basis_{basis.label}") for basis in sorted(Basis)]
_FIRST, _TOTAL = map(ADDED.index, ("first_0", "total_0"))

_NOTHING: Final = (None,) * len(SELDOM)
_BAD: Final = (Outcome.FAILED, Outcome.LOST)


def open_row(attempt: OpenAttempt, worker: str) -> tuple[Any, ...]:
    """A row of `open_attempts`."""
    bound = attempt.bound_pico
    return (
        attempt.request_id,
        attempt.number,
        attempt.started_ms,
        worker,
        attempt.key_id,
        attempt.generation,
        attempt.alias_id,
        attempt.target_id,
        attempt.dialect,
        1 if attempt.stream else 0,
        bound if bound is not None and 0 <= bound <= MAX_PICO else NO_NUMBER,
        attempt.multiplier_ppm,
        attempt.project_id,
        NO_NUMBER if attempt.balance_id is None else attempt.balance_id,
        NO_NUMBER if attempt.hold_pico is None else attempt.hold_pico,
        attempt.tags or NO_TEXT,
    )


def settled_row(attempt: OpenAttempt, settlement: Settlement) -> list[Any]:
    """A row of `attempts`, without what few attempts have where this one has nothing of it."""
    usage, bound = settlement.usage, attempt.bound_pico
    row = [
        attempt.request_id,
        attempt.number,
        attempt.started_ms,
        attempt.key_id,
        attempt.generation,
        attempt.alias_id,
        attempt.target_id,
        attempt.dialect,
        1 if attempt.stream else 0,
        int(settlement.outcome),
        1 if settlement.final else 0,
        settlement.status,
        int(settlement.basis),
        usage.input,
        usage.cached_input,
        usage.output,
        usage.reasoning,
        settlement.price_id,
        settlement.cost_pico,
        settlement.charge_pico,
        bound if bound is not None and 0 <= bound <= MAX_PICO else None,
        settlement.first_content_ms,
        settlement.total_ms,
        settlement.provider_request_id or NO_TEXT,
        attempt.project_id,
        attempt.balance_id,
        attempt.hold_pico,
        settlement.doubt_pico,
    ]
    seldom = (
        usage.cache_write,
        usage.cache_write_1h,
        usage.audio_input,
        usage.audio_output,
        usage.images,
        settlement.error_code or None,
        settlement.error_text or None,
        attempt.tags or None,
    )
    row = [NO_NUMBER if value is None else value for value in row]
    return row if seldom == _NOTHING else with_seldom(row, seldom)


def lost(attempt: OpenAttempt) -> Settlement:
    """What an attempt is settled as when its process died with it open: nothing is known, nothing is charged."""
    return Settlement(
        request_id=attempt.request_id,
        number=attempt.number,
        outcome=Outcome.LOST,
        final=True,
        status=None,
        usage=NO_USAGE,
        basis=Basis.UNKNOWN,
        total_ms=None,
        charge_pico=0,
        doubt_pico=amount(attempt.bound_charge_pico),
        error_code="lost",
        error_text="the gateway's process died before the attempt ended",
    )


class Sums:
    """Totals of a batch, per minute, key, alias, target and payer, and what it takes from balances."""

    def __init__(self) -> None:
        self._minutes: dict[Key, list[int]] = {}
        self.taken: dict[int, tuple[int, int]] = {}
        """Balance id → what was charged and what is in doubt."""

    def add(self, attempt: OpenAttempt, settlement: Settlement) -> None:
        sums = self._sums(attempt)
        usage, outcome = settlement.usage, settlement.outcome
        sums[_ATTEMPTS] += 1
        if settlement.final:
            sums[_REQUESTS] += 1
        if outcome in _BAD:
            sums[_FAILURES] += 1
            if settlement.final:
                sums[_ERRORS] += 1
        if usage is not NO_USAGE:
            sums[_INPUT] += usage.input or 0
            sums[_CACHED] += usage.cached_input or 0
            sums[_WRITTEN] += (usage.cache_write or 0) + (usage.cache_write_1h or 0)
            sums[_OUTPUT] += usage.output or 0
            sums[_REASONING] += usage.reasoning or 0
        if settlement.cost_pico is None:
            sums[_UNKNOWN_COST] += 1
        else:
            sums[_COST] += settlement.cost_pico
        sums[_CHARGE] += settlement.charge_pico or 0
        sums[_DOUBT] += settlement.doubt_pico or 0
        free = settlement.cost_pico == 0 and usage.input == 0 and usage.output == 0
        sums[_FREE if free else _BASIS[settlement.basis]] += 1
        if attempt.balance_id is not None:
            charged, doubt = self.taken.get(attempt.balance_id, (0, 0))
            charged, doubt = charged + (settlement.charge_pico or 0), doubt + (settlement.doubt_pico or 0)
            self.taken[attempt.balance_id] = charged, doubt
        if settlement.first_content_ms is not None:
            sums[_FIRST + bisect_right(LATENCY_BOUNDS_MS, settlement.first_content_ms)] += 1
        if outcome is Outcome.SERVED and settlement.total_ms is not None:
            sums[_TOTAL + bisect_right(LATENCY_BOUNDS_MS, settlement.total_ms)] += 1

    def add_end(self, attempt: OpenAttempt, outcome: Outcome) -> None:
        """Count the request of an attempt that is in the totals already and turned out to be the last."""
        sums = self._sums(attempt)
        sums[_REQUESTS] += 1
        if outcome in _BAD:
            sums[_ERRORS] += 1

    def rows(self) -> tuple[Sequence[Amounts], Sequence[Amounts], Sequence[Amounts]]:
        """Rows for the totals of minutes, quarters and days; sorted, so that no two writers wait for each other."""
        minutes = sorted(self._minutes.items())
        return minutes, _merged(minutes, MINUTES_PER_QUARTER), _merged(minutes, MINUTES_PER_DAY)

    def _sums(self, attempt: OpenAttempt) -> list[int]:
        minute = attempt.started_ms // MINUTE_MS
        key = (minute, attempt.key_id, attempt.alias_id, attempt.target_id, attempt.project_id)
        sums = self._minutes.get(key)
        if sums is None:
            sums = self._minutes[key] = [0] * WIDTH
        return sums


def _merged(minutes: Sequence[tuple[Key, list[int]]], minutes_per_bucket: int) -> Sequence[Amounts]:
    merged: dict[Key, list[int]] = {}
    for (minute, *ids), sums in minutes:
        key = (minute // minutes_per_bucket, *ids)
        found = merged.get(key)
        merged[key] = sums if found is None else [a + b for a, b in zip(found, sums, strict=True)]
    return sorted(merged.items())


def bounded(settlement: Settlement) -> Settlement:
    """The settlement, made fit to be stored: see the top of this module."""
    if not _sound(settlement):
        settlement = _doubted(settlement)
    if settlement.error_text is not None or settlement.error_code is not None:
        settlement.error_text = text(settlement.error_text)
        settlement.error_code = text(settlement.error_code)
    if settlement.provider_request_id is not None:
        settlement.provider_request_id = text(settlement.provider_request_id)
    return settlement


def _sound(settlement: Settlement) -> bool:
    """Whether all counts and amounts are whole and within bounds; nearly always, so it is made cheap."""
    u = settlement.usage
    try:
        # The bits of all counts together are within bounds exactly when each count is, as MAX_COUNT is all ones.
        counts = (
            (u.input or 0) | (u.cached_input or 0) | (u.cache_write or 0) | (u.cache_write_1h or 0)
            | (u.output or 0) | (u.reasoning or 0) | (u.audio_input or 0) | (u.audio_output or 0) | (u.images or 0)
            | (settlement.first_content_ms or 0) | (settlement.total_ms or 0)
        )  # fmt: skip
    except TypeError:
        return False
    cost, charge, doubt = settlement.cost_pico or 0, settlement.charge_pico or 0, settlement.doubt_pico or 0
    within = 0 <= cost <= MAX_PICO and 0 <= charge <= MAX_PICO and 0 <= doubt <= MAX_PICO
    return within and 0 <= counts <= MAX_COUNT


def _doubted(settlement: Settlement) -> Settlement:
    """With what cannot be believed taken as unknown, and so the cost computed from it."""
    usage = settlement.usage
    kept = {name: _count(getattr(usage, name)) for name in usage.__struct_fields__}
    believed = replace(usage, **kept) == usage
    return replace(
        settlement,
        usage=replace(usage, **kept),
        basis=settlement.basis if believed else Basis.UNKNOWN,
        cost_pico=amount(settlement.cost_pico) if believed else None,
        charge_pico=amount(settlement.charge_pico) if believed else None,
        doubt_pico=amount(settlement.doubt_pico),
        first_content_ms=_count(settlement.first_content_ms),
        total_ms=_count(settlement.total_ms),
    )


def _count(value: int | None) -> int | None:
    return value if isinstance(value, int) and 0 <= value <= MAX_COUNT else None


def text(value: str | None) -> str | None:
    """At most 500 characters that every database takes."""
    if value is None or (value.isascii() and value.isprintable() and len(value) <= MAX_TEXT):
        return value
    return value[:MAX_TEXT].replace("\0", "").encode("utf-8", "replace").decode()


def amount(pico: int | None) -> int | None:
    return pico if pico is None or 0 <= pico <= MAX_PICO else None
