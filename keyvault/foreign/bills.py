"""Reads providers' exports of usage and costs, and any other CSV whose columns are named.

A file is taken whole or not at all: what cannot be read is said with its file and line.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Final

from keyvault.domain.bills import Bill, Lines, Sums, plain_model
from keyvault.errors import ConfigurationError, UsageError
from keyvault.money import PICO_PER_USD

_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]{1,2})?", re.ASCII | re.IGNORECASE)
_DATE: Final = re.compile(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}")
_YEARS: Final = range(2000, 2101)
"""Whatever else is taken for a year is another thing that was taken for a date."""

AUTO: Final = "auto"
GENERIC: Final = "generic"


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of an export say what; of several, input is the sum."""

    date: str
    model: str = ""
    requests: str = ""
    input: tuple[str, ...] = ()
    cached: str = ""
    output: str = ""
    cost: str = ""
    currency: str = ""

    @property
    def needed(self) -> set[str]:
        """Those without which a file is not of this form; an export of embeddings has no output."""
        return {name for name in (self.date, *self.input, self.cost) if name}

    @property
    def named(self) -> set[str]:
        """All of them."""
        return self.needed | {n for n in (self.model, self.requests, self.cached, self.output, self.currency) if n}


FORMS: Final[Mapping[str, Columns]] = {
    "openai-usage": Columns(
        "start_time_iso", "model", "num_model_requests", ("input_tokens",), "input_cached_tokens", "output_tokens"
    ),
    "openai-costs": Columns("start_time_iso", "line_item", cost="amount_value", currency="amount_currency"),
    "anthropic-usage": Columns(
        "usage_date_utc",
        "model_version",
        input=(
            "usage_input_tokens_no_cache",
            "usage_input_tokens_cache_write_5m",
            "usage_input_tokens_cache_write_1h",
            "usage_input_tokens_cache_read",
        ),
        cached="usage_input_tokens_cache_read",
        output="usage_output_tokens",
    ),
    "anthropic-costs": Columns("usage_date_utc", "model", cost="cost_usd"),
    "openrouter": Columns(
        "created_at",
        "model_permaslug",
        input=("tokens_prompt",),
        cached="tokens_cached",
        output="tokens_completion",
        cost="cost_total",
    ),
}
_NAMES: Final = ("date", "model", "requests", "input", "cached", "output", "cost", "currency")


def columns_of(text: str) -> Columns:
    """`date=Day,model=Model,cost=USD` → `Columns`. Raises `UsageError`."""
    hint = "--columns date=DAY,model=MODEL,cost=USD"
    given: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, column = part.partition("=")
        if name not in _NAMES or not equals or not column or name in given:
            raise UsageError(f"--columns: not one of {', '.join(_NAMES)}, each once: {part[:40]!a}", hint=hint)
        given[name] = column
    if "date" not in given or not given.keys() & {"input", "output", "cost"}:
        raise UsageError("--columns needs date, and at least one of cost, input and output", hint=hint)
    entered = (given.pop("input"),) if "input" in given else ()
    return Columns(**given, input=entered)


def read_bill(text: str, file: str, form: str, columns: Columns | None, zone: tzinfo) -> Bill:
    """The export in `text`; days are those of `zone`. Raises `ConfigurationError` naming file and line."""
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        header = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = header
        form, columns = _form(form, columns, header, file)
        lines: Lines = {}
        for row in reader:
            if None in row or None in row.values():
                raise ConfigurationError(
                    f"{file}:{reader.line_num}: {'more' if None in row else 'fewer'} cells than the header has",
                    hint="a decimal comma has to be a point; a file that was cut off has to be exported again",
                )
            for key, sums in _line(row, form, columns, zone, f"{file}:{reader.line_num}"):
                lines.setdefault(key, Sums()).add(sums)
    except csv.Error as error:
        raise ConfigurationError(f"{file}:{reader.line_num + 1}: not CSV: {error}") from None
    if not lines:
        raise ConfigurationError(f"{file}: says nothing of any usage", hint="export it again, grouped by model")
    return Bill(form, lines)


def _form(form: str, columns: Columns | None, header: Sequence[str], file: str) -> tuple[str, Columns]:
    known = ", ".join((AUTO, *FORMS, GENERIC))
    if columns is not None or form == GENERIC:
        if columns is None:
            raise UsageError("--format generic needs --columns", hint="--columns date=DAY,model=MODEL,cost=USD")
        form = GENERIC
    elif form == AUTO:
        form = next((name for name, of in FORMS.items() if of.needed <= set(header)), "")
        if not form:
            raise ConfigurationError(
                f"{file}:1: not an export that is known, by its columns {', '.join(sorted(header))[:120]!a}",
                hint="--format generic --columns date=DAY,model=MODEL,cost=USD",
            )
    elif form not in FORMS:
        raise UsageError(f"no such format: {form[:40]!a}", hint=f"one of {known}")
    found = columns or FORMS[form]
    missing = sorted((found.named if form == GENERIC else found.needed) - set(header))
    if missing:
        raise ConfigurationError(f"{file}:1: no column {missing[0][:60]!a}, which {form} has", hint=f"one of {known}")
    twice = next((name for name in header if name in found.named and header.count(name) > 1), None)
    if twice is not None:
        raise ConfigurationError(f"{file}:1: more than one column is called {twice[:60]!a}")
    return form, found


def _line(
    row: Mapping[str, str | None], form: str, columns: Columns, zone: tzinfo, where: str
) -> Iterator[tuple[tuple[str, str], Sums]]:
    """At most one: rows of stretches in which there was nothing have no figures."""

    def cell(name: str) -> str:
        return (row.get(name) or "").strip()

    entered = [_count(cell(name), name, where) for name in columns.input]
    sums = Sums(
        requests=_count(cell(columns.requests), columns.requests, where),
        input=None if all(count is None for count in entered) else sum(count or 0 for count in entered),
        cached=_count(cell(columns.cached), columns.cached, where),
        output=_count(cell(columns.output), columns.output, where),
        cost_pico=_pico(cell(columns.cost), columns.cost, where),
    )
    if sums == Sums():
        return
    currency = cell(columns.currency)
    if currency and currency.casefold() != "usd":
        raise ConfigurationError(f"{where}: an amount in {currency[:10]!a}; the ledger is in US dollars")
    if form == "openrouter":
        sums.requests = 1
    yield (_day(cell(columns.date), zone, where), _model(cell(columns.model), form)), sums


def _model(text: str, form: str) -> str:
    """The model's name as an API calls it."""
    if form == "openai-costs":
        text = text.partition(", ")[0]  # "gpt-4o-2024-08-06, cached input"
    elif form == "anthropic-costs":
        text = text.replace(" ", "-").replace(".", "-")  # "Claude Haiku 4.5"
    return plain_model(text)


def _day(text: str, zone: tzinfo, where: str) -> str:
    """The day of a date, a moment, or seconds since 1970; a moment without a zone is UTC."""
    is_day = _DATE.fullmatch(text) is not None
    try:
        if text.isdigit() and not is_day:
            moment = datetime.fromtimestamp(int(text), UTC)
        else:
            moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise ConfigurationError(f"{where}: not a date: {text[:40]!a}") from None
    if moment.year not in _YEARS:
        raise ConfigurationError(f"{where}: not a date of these times: {text[:40]!a}")
    if is_day:
        return moment.date().isoformat()
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(zone).date().isoformat()


def _count(text: str, name: str, where: str) -> int | None:
    if not text:
        return None
    value = _decimal(text, name, where)
    if value < 0 or value != value.to_integral_value():
        raise ConfigurationError(f"{where}: {name}: not a count: {text[:40]!a}")
    return int(value)


def _pico(text: str, name: str, where: str) -> int | None:
    return None if not text else round(_decimal(text.removeprefix("$"), name, where) * PICO_PER_USD)


def _decimal(text: str, name: str, where: str) -> Decimal:
    """Digits with a point; not everything that Python takes for a number, such as `1_000`."""
    value = Decimal(text) if _NUMBER.fullmatch(text) else None
    if value is None or abs(value) >= 10**15:
        raise ConfigurationError(f"{where}: {name}: not a number: {text[:40]!a}")
    return value
