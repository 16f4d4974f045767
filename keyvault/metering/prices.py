"""The price book: which price applies to a model at a moment, and how prices get into the book.

An own price of an upstream comes before the catalogue's. Versions have effective dates; the newest that has begun
applies. Filling from the catalogue appends what has changed and nothing else, so filling twice changes nothing.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from keyvault import audit
from keyvault.clock import Clock, to_ms
from keyvault.domain.names import check_model, not_found
from keyvault.domain.prices import BATCH, BATCH_CLAUSE, Price, Rates
from keyvault.errors import NotFound
from keyvault.metering import catalogue
from keyvault.storage import epochs
from keyvault.storage import prices as rows
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.prices import Listed

DAY_MS: Final = 86_400_000
MINUTE_MS: Final = 60_000
_FOREVER: Final = 1 << 62
_REMEMBERED: Final = 10_000
"""Look-ups kept; models may be named freely by clients, so the memory is bounded."""
_COMPACT_DATE = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")


@dataclass(frozen=True, slots=True)
class Filled:
    """What filling from the catalogue did, in models."""

    added: int
    """Models that are new or whose prices have changed."""
    unchanged: int
    source: str


class Prices:
    """The price book as people see and change it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def set_own(
        self, upstream: str, model: str, rates: Rates, effective_from: datetime | None = None, *, note: str = ""
    ) -> Price:
        """Set an upstream's own price of a model from a moment on (None: from now). Raises `NotFound`, `UsageError`."""
        check_model(model)
        now = self._clock.now()
        with self._database.change() as tx:
            name = _upstream(tx, upstream)[0]
            price = Price(0, name, None, model, rates, effective_from or now, "own", now, note)
            price = replace(price, id=rows.insert(tx, Listed(price, None)))
            audit.record(tx, self._clock, "prices.set", f"target:{name}/{model}", price_id=price.id)
            epochs.bump(tx, "prices")
        return price

    def fill_from_catalogue(self) -> Filled:
        """Append what the installed genai-prices has that the book has not."""
        return self.fill(catalogue.read(self._clock.now()))

    def fill(self, found: catalogue.Catalogue) -> Filled:
        """Append what a catalogue has that the book has not, in one transaction."""
        with self._database.change() as tx:
            known = _by_model(_all(rows.catalogue_rows(tx)))
            changed = [listed for model, listed in found.models.items() if not _same(known.get(model, ()), listed)]
            if changed or rows.fallbacks(tx) != dict(found.fallbacks):
                rows.insert_all(tx, (_after(known, item) for listed in changed for item in listed))
                rows.set_fallbacks(tx, found.fallbacks)
                audit.record(tx, self._clock, "prices.update", "prices", source=found.source, models=len(changed))
                epochs.bump(tx, "prices")
        return Filled(len(changed), len(found.models) - len(changed), found.source)

    def list(self, upstream: str | None = None, *, model: str | None = None, own: bool = False) -> Sequence[Price]:
        """The prices in force now, own ones first, by upstream or catalogue and model.

        `upstream`: only those that can apply to it; `model`: a glob; `own`: only own ones. Raises `NotFound`.
        """
        with self._database.read() as tx:
            name, place = (None, None) if upstream is None else _upstream(tx, upstream)
            mine = [i for i in rows.own(tx) if name in (None, i.price.upstream)]
            theirs = [] if own or (name and place is None) else _all(rows.catalogue_rows(tx))
        in_force = _in_force([*mine, *(i for i in theirs if place in (None, i.price.catalogue))], self._clock.now_ms())
        return [p for p in in_force if model is None or fnmatch.fnmatch(p.model.lower(), model.lower())]

    def show(self, upstream: str, model: str) -> Price:
        """The price that applies now to a model of an upstream. Raises `NotFound`."""
        with self._database.read() as tx:
            name, place = _upstream(tx, upstream)
            price = PriceBook.load(tx).find(name, place, model, self._clock.now_ms())
        if price is None:
            hint = f"gwctl prices set {name}/{model} --input USD --output USD"
            raise NotFound(f"no price for {model[:70]!a} at {name}", hint=hint)
        return price

    def versions(self, upstream: str, model: str) -> Sequence[Price]:
        """Every version that can apply to a model of an upstream, in the order in which they are tried."""
        with self._database.read() as tx:
            name, place = _upstream(tx, upstream)
            return PriceBook.load(tx).versions(name, place, model)

    def get(self, price_id: int) -> Price | None:
        """The version that a cost names."""
        with self._database.read() as tx:
            return rows.get(tx, price_id)


class PriceBook:
    """The prices in memory, for look-ups at the moment of a request. Immutable but for what it remembers."""

    def __init__(
        self,
        own: Iterable[Listed],
        catalogue: Mapping[str, Sequence[Any]],
        fallbacks: Mapping[str, Sequence[str]],
        read: Callable[[Any], Listed] = rows.listed,
    ) -> None:
        """`catalogue`: rows by catalogue, each given to `read` when first asked for."""
        self._own: dict[tuple[str, str], list[Price]] = {}
        for item in own:
            self._own.setdefault((item.price.upstream or "", item.price.model), []).append(item.price)
        self._rows = catalogue
        self._listed_of = read
        self._models: dict[str, list[tuple[Mapping[str, Any], list[Price]]]] = {}
        self._fallbacks = fallbacks
        self._found: dict[tuple[str, str | None, str], tuple[_Version, ...]] = {}

    @classmethod
    def load(cls, tx: Transaction, up_to: int | None = None) -> PriceBook:
        """With `up_to` as it was when that version was the newest."""
        return cls(rows.own(tx, up_to), rows.catalogue_rows(tx, up_to), rows.fallbacks(tx))

    def find(self, upstream: str, catalogue: str | None, model: str, at_ms: int) -> Price | None:
        """The price of a model of an upstream at a moment; None where it has none."""
        for from_ms, daily, price in self._versions(upstream, catalogue, model):
            if from_ms <= at_ms and (daily is None or _within(daily, at_ms)):
                return price
        return None

    def holds(self, upstream: str, catalogue: str | None, model: str, at_ms: int) -> tuple[int, int]:
        """From when until when, that moment within, what `find` finds is sure to be the same."""
        versions = self._versions(upstream, catalogue, model)
        begin = [from_ms for from_ms, _, _ in versions]
        if any(daily is not None for _, daily, _ in versions):
            minute = at_ms - at_ms % MINUTE_MS
            begin += minute, minute + MINUTE_MS
        since = max((each for each in begin if each <= at_ms), default=0)
        return since, min((each for each in begin if each > at_ms), default=_FOREVER)

    def find_batch(self, upstream: str, catalogue: str | None, model: str, at_ms: int) -> Price | None:
        """The price of a model in a batch: its own where the book has one, named `MODEL@batch`, else the usual one."""
        return self.find(upstream, catalogue, model + BATCH, at_ms) or self.find(upstream, catalogue, model, at_ms)

    def versions(self, upstream: str, catalogue: str | None, model: str) -> list[Price]:
        """Every version that can apply, in the order in which they are tried: own before catalogue, newest first."""
        own = self._own.get((upstream, model), ())
        return [*reversed(own), *reversed(self._listed(catalogue, model))]

    def _versions(self, upstream: str, catalogue: str | None, model: str) -> tuple[_Version, ...]:
        known = self._found.get((upstream, catalogue, model))
        if known is not None:
            return known
        if len(self._found) >= _REMEMBERED:
            self._found.clear()
        found = tuple((to_ms(p.effective_from), p.daily, p) for p in self.versions(upstream, catalogue, model))
        self._found[upstream, catalogue, model] = found
        return found

    def _listed(self, catalogue: str | None, model: str) -> list[Price]:
        """The catalogue's prices of a model, as genai-prices finds it: compact dates also stand for dashed ones."""
        if catalogue is None:
            return []
        name = model.lower()
        dashed = _COMPACT_DATE.sub(r"-\1-\2-\3", name)
        return self._match(catalogue, name) or (self._match(catalogue, dashed) if dashed != name else [])

    def _match(self, catalogue: str, name: str) -> list[Price]:
        for place in (catalogue, *self._fallbacks.get(catalogue, ())):
            for clause, prices in self._read(place):
                if (BATCH_CLAUSE in clause) is name.endswith(BATCH) and matches(clause, name):
                    return prices
        return []

    def _read(self, catalogue: str) -> list[tuple[Mapping[str, Any], list[Price]]]:
        if catalogue not in self._models:
            groups = _by_model(map(self._listed_of, self._rows.get(catalogue, ()))).values()
            self._models[catalogue] = [(group[0].match or {}, [item.price for item in group]) for group in groups]
        return self._models[catalogue]


_Version = tuple[int, tuple[int, int] | None, Price]


def matches(clause: Mapping[str, Any], name: str) -> bool:
    """Whether a model name, in lower case, satisfies a clause of the catalogue."""
    kind, value = next(iter(clause.items()))
    if kind == "or":
        return any(matches(part, name) for part in value)
    if kind == "and":
        return all(matches(part, name) for part in value)
    if kind == "regex":
        return re.search(value, name) is not None
    if kind == BATCH_CLAUSE:
        return matches(value, name.removesuffix(BATCH))
    value = value.lower()
    if kind == "equals":
        return bool(name == value)
    if kind == "starts_with":
        return name.startswith(value)
    return name.endswith(value) if kind == "ends_with" else kind == "contains" and value in name


def _within(daily: tuple[int, int], at_ms: int) -> bool:
    start, end = daily
    minute = at_ms % DAY_MS // MINUTE_MS
    return start <= minute < end if start <= end else minute >= start or minute < end


def _by_model(listed: Iterable[Listed]) -> dict[tuple[str, str], tuple[Listed, ...]]:
    found: dict[tuple[str, str], list[Listed]] = {}
    for item in listed:
        found.setdefault((item.price.catalogue or "", item.price.model), []).append(item)
    return {model: tuple(items) for model, items in found.items()}


def _same(known: Sequence[Listed], found: Sequence[Listed]) -> bool:
    return [_essence(item) for item in known] == [_essence(item) for item in found]


def _essence(listed: Listed) -> Any:
    price = listed.price
    return price.rates, price.effective_from, price.daily, price.note, listed.match


def _after(known: Mapping[tuple[str, str], Sequence[Listed]], item: Listed) -> Listed:
    """The version, recorded later than the model's last recording even where the clock has not moved since."""
    before = known.get((item.price.catalogue or "", item.price.model))
    if not before or before[0].price.recorded_at < item.price.recorded_at:
        return item
    later = before[0].price.recorded_at + timedelta(milliseconds=1)
    return replace(item, price=replace(item.price, recorded_at=later))


def _in_force(listed: Iterable[Listed], at_ms: int) -> list[Price]:
    """Of each model the version that applies at a moment, own prices first."""
    found: dict[tuple[str, str, str], Price] = {}
    for price in (item.price for item in listed):
        if to_ms(price.effective_from) <= at_ms and (price.daily is None or _within(price.daily, at_ms)):
            found[price.upstream or "", price.catalogue or "", price.model] = price  # the later one counts
    return sorted(found.values(), key=lambda p: (p.upstream is None, p.upstream or p.catalogue or "", p.model))


def _all(by_catalogue: Mapping[str, Sequence[Any]]) -> list[Listed]:
    return [rows.listed(row) for found in by_catalogue.values() for row in found]


def _upstream(tx: Transaction, name: str) -> tuple[str, str | None]:
    found = rows.upstream(tx, name)
    if found is None:
        raise not_found("upstream", name, rows.upstream_names(tx), otherwise="gwctl upstreams list")
    return found
