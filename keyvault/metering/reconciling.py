"""A provider's export beside the ledger, by day and model: what differs, and how much of it the ledger can account for.

What agrees is read from totals. Where a line differs, its day's rows are looked at: how many are estimates, how many
have no price, what those that were lost could have cost at most. Nothing is explained away by more than it can be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Final

from keyvault.clock import Clock, to_ms, ulid_at
from keyvault.domain.bills import Bill, Comparison, Reconciliation, Sums, Verdict, plain_model
from keyvault.domain.ledger import Basis
from keyvault.domain.names import counted
from keyvault.domain.prices import Price
from keyvault.domain.reports import LIVE, TEST, Totals, add
from keyvault.metering.reports import Reports
from keyvault.metering.spans import zone_of
from keyvault.money import UNITS_PER_PRICE
from keyvault.storage import prices
from keyvault.storage import reports as rows
from keyvault.storage.attempts import Kind, kinds_of, prices_of
from keyvault.storage.engine import Database

Line = tuple[str, str]

_LONGEST: Final = timedelta(days=1)
_EDGE: Final = timedelta(minutes=15)
_ROUNDING: Final = 10_000
"""One part in so many may be rounding in an export."""
_GUESSED: Final = (Basis.TOKENIZER, Basis.ESTIMATE)


@dataclass(slots=True)
class _Known:
    """How a line's rows are known. Amounts are in the unit that is compared."""

    guessed: int = 0
    guessed_amount: int = 0
    unpriced: int = 0
    unpriced_bound: int = 0
    unknown: int = 0
    unknown_bound: int = 0
    unbounded: int = 0
    """Attempts that may have come to any amount."""
    dearest_input: int = 0
    """Pico-dollars per million tokens, of the prices that applied."""


class Reconciler:
    """Compares exports with one home's ledger."""

    def __init__(self, reports: Reports, database: Database, clock: Clock) -> None:
        self._reports = reports
        self._database = database
        self._clock = clock

    def spelled(self, upstream: str) -> str | None:
        """An upstream's name as the ledger has it, also of one that was deleted; None where it never had traffic."""
        with self._database.read() as tx:
            known = {of.casefold(): of for of, _ in rows.names(tx).targets.values()}
        return known.get(upstream.casefold())

    def reconcile(
        self, upstream: str, bill: Bill, tz: str = "UTC", of: tuple[str, str] | None = None
    ) -> Reconciliation:
        """Every line of an export, and every line the ledger has between its first day and its last; `of`: and between
        these two, which the export should hold."""
        zone, by_cost = zone_of(tz), bill.has_cost
        days = sorted({day for day, _ in bill.lines}.union(of or ()))
        ours = self._ours(upstream, days[0], days[-1], tz, with_models=bill.has_models)
        theirs = bill.lines
        today = self._clock.now().astimezone(zone).date().isoformat()
        lines = []
        for day, model in sorted(theirs.keys() | ours.keys()):
            told, kept = theirs.get((day, model)), ours.get((day, model), Totals())
            line = _compared(day, model, told, kept, by_cost=by_cost)
            if line.theirs or line.ours or kept.unknown_cost_attempts:
                line.is_open = day >= today
                lines.append(line)
        differing = [line for line in lines if line.unexplained and not line.is_open]
        for day in sorted({line.day for line in differing}):
            of_day = {line.model: line for line in differing if line.day == day}
            for model, known in self._known(upstream, day, zone, of_day, by_cost=by_cost, by_model=bill.has_models):
                key = (day, model)
                _explain(of_day[model], known, theirs.get(key), ours.get(key), by_cost=by_cost)
        self._explain_edges(upstream, lines, zone, by_cost=by_cost, by_model=bill.has_models)
        for line in lines:
            _say_what_is_left(line, theirs.get((line.day, line.model)), ours.get((line.day, line.model)))
        return Reconciliation(upstream, bill.form, by_cost, tz, (days[0], days[-1]), lines)

    def _ours(self, upstream: str, first: str, last: str, tz: str, *, with_models: bool) -> dict[Line, Totals]:
        zone = zone_of(tz)
        start, _ = _bounds(first, zone)
        _, end = _bounds(last, zone)
        by = ("day", "model") if with_models else ("day",)
        report = self._reports.usage(start, end, by, tz, {"upstream": upstream, "env": (LIVE, TEST)})
        found: dict[Line, list[Totals]] = {}
        for row in report.rows:
            model = plain_model(row.group[1]) if with_models else ""
            found.setdefault((row.group[0], model), []).append(row.totals)
        return {line: _added(parts) for line, parts in found.items()}

    def _known(
        self, upstream: str, day: str, zone: tzinfo, wanted: Mapping[str, object], *, by_cost: bool, by_model: bool
    ) -> Iterator[tuple[str, _Known]]:
        """How the rows of a day are known, for each of the models that are asked for."""
        start, end = _bounds(day, zone)
        ids = ulid_at(max(0, to_ms(start - _LONGEST)))[:-1], ulid_at(to_ms(end))
        ms = to_ms(start), to_ms(end)
        with self._database.read() as tx:
            targets = {
                number: plain_model(model) if by_model else ""
                for number, (of, model) in rows.names(tx).targets.items()
                if of.casefold() == upstream.casefold()
            }
            kinds = kinds_of(tx, targets, ids, ms)
            paid = [(targets[of], prices.get(tx, price)) for of, price in prices_of(tx, targets, ids, ms)]
        for model in wanted:
            known = _Known(dearest_input=max((_dearest(price) for of, price in paid if of == model), default=0))
            for kind in kinds:
                if targets[kind.target_id] == model:
                    _count(known, kind, by_cost=by_cost)
            yield model, known

    def _explain_edges(
        self, upstream: str, lines: list[Comparison], zone: tzinfo, *, by_cost: bool, by_model: bool
    ) -> None:
        """A request that begins before midnight and ends after it may be booked by its provider on the next day."""
        by_line = {(line.day, line.model): line for line in lines if not line.is_open}
        for day, following in pairwise(sorted({line.day for line in lines})):
            if date.fromisoformat(following) - date.fromisoformat(day) > timedelta(days=1):
                continue
            for model in sorted({line.model for line in lines}):
                before, after = by_line.get((day, model)), by_line.get((following, model))
                if before and after and before.unexplained < 0 < after.unexplained:
                    moved = self._late(upstream, _bounds(day, zone)[1], model, by_cost=by_cost, by_model=by_model)
                    moved = min(moved, -before.unexplained, after.unexplained)
                    before.explain("began before midnight, on the provider's next day", moved)
                    after.explain("began before midnight, on the ledger's day before", moved)

    def _late(self, upstream: str, midnight: datetime, model: str, *, by_cost: bool, by_model: bool) -> int:
        """What the last quarter of an hour of a day took."""
        wanted = {"upstream": upstream, "env": (LIVE, TEST)}
        found = self._reports.usage(midnight - _EDGE, midnight, ("model",), "UTC", wanted)
        return sum(
            _amount(row.totals, by_cost=by_cost)
            for row in found.rows
            if not by_model or plain_model(row.group[0]) == model
        )


def _bounds(day: str, zone: tzinfo) -> tuple[datetime, datetime]:
    first = date.fromisoformat(day)
    following = first + timedelta(days=1)
    start, end = (datetime(d.year, d.month, d.day, tzinfo=zone).astimezone(UTC) for d in (first, following))
    return start, end


def _dearest(price: Price | None) -> int:
    """What a million of input tokens costs at most; also those that are written to a cache."""
    rates = () if price is None else (price.rates.input, price.rates.cache_write, price.rates.cache_write_1h)
    return max((value for rate in rates if rate for _, value in rate), default=0)


def _added(parts: list[Totals]) -> Totals:
    return parts[0] if len(parts) == 1 else add(parts)


def _amount(totals: Totals, *, by_cost: bool) -> int:
    return totals.known_cost_pico if by_cost else totals.input_tokens + totals.output_tokens


def _compared(day: str, model: str, told: Sums | None, kept: Totals, *, by_cost: bool) -> Comparison:
    theirs = 0 if told is None else (told.cost_pico if by_cost else told.tokens) or 0
    ours = _amount(kept, by_cost=by_cost)
    line = Comparison(day, model, theirs, ours, theirs - ours)
    if abs(line.difference) <= max(abs(theirs), ours) // _ROUNDING:
        line.explain("rounding")
    return line


def _count(known: _Known, kind: Kind, *, by_cost: bool) -> None:
    if kind.basis == Basis.UNKNOWN and kind.unpriced:
        known.unknown += kind.attempts
        known.unknown_bound += kind.bound_pico
        known.unbounded += kind.unbounded if by_cost else kind.attempts
    elif kind.unpriced and by_cost:
        known.unpriced += kind.attempts
        known.unpriced_bound += kind.bound_pico
        known.unbounded += kind.unbounded
    if kind.basis in _GUESSED:
        known.guessed += kind.attempts
        known.guessed_amount += kind.cost_pico if by_cost else kind.input + kind.output


def _explain(line: Comparison, known: _Known, told: Sums | None, kept: Totals | None, *, by_cost: bool) -> None:
    """In the order of how well a reason is known."""
    if told is None or kept is None:
        return
    cached_apart = told.input is not None and told.input == kept.input_tokens - kept.cached_input_tokens
    if not by_cost and cached_apart and kept.cached_input_tokens:
        line.explain("the provider's input leaves cached tokens out", kept.cached_input_tokens)
    if by_cost and told.cached is not None and told.input == kept.input_tokens:
        fewer = kept.cached_input_tokens - told.cached
        if fewer * line.unexplained > 0:  # what was not taken from a cache costs more
            line.explain(
                f"{told.cached:,} tokens cached by the provider's count, {kept.cached_input_tokens:,} by the ledger's",
                abs(fewer) * known.dearest_input // UNITS_PER_PRICE,
            )
    if line.unexplained > 0 and known.unpriced:
        line.explain(f"{counted(known.unpriced, 'attempt')} without a price", known.unpriced_bound)
    if line.unexplained > 0 and known.unknown and by_cost:
        text = f"{counted(known.unknown, 'attempt')} that nobody counted: lost, or cut off"
        line.explain(text, known.unknown_bound)
    if known.guessed:
        line.explain(f"{counted(known.guessed, 'attempt')} counted by the gateway itself", known.guessed_amount)
    line.unbounded = known.unbounded


def _say_what_is_left(line: Comparison, told: Sums | None, kept: Totals | None) -> None:
    """Why a line may be on one side alone; it explains nothing."""
    if not line.unexplained:
        return
    if line.verdict is Verdict.UNBOUNDED:
        line.remark = f"{counted(line.unbounded, 'attempt')} may have come to any amount: without a price, or uncounted"
    elif kept is None or not kept.attempts:
        line.remark = "not through this gateway, or under another name"
    elif told is None:
        line.remark = "the export has no such line"
