"""`usage reconcile`: a provider's bill beside the ledger."""

from __future__ import annotations

from datetime import timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from keyvault.domain.names import counted
from keyvault.domain.typed import number
from keyvault.errors import CheckFailed, UsageError
from keyvault.money import CURRENCY
from opsconsole.cli.commands.usage.noun import Zone, month_of, usage
from opsconsole.cli.completion import names_in, names_of
from opsconsole.cli.files import read_text
from opsconsole.cli.output import Column, Format, Listing, Row
from opsconsole.cli.session import Session
from opsconsole.cli.text import Amount, cell

if TYPE_CHECKING:
    from keyvault.domain.bills import Comparison, Reconciliation

_FORMATS: Final = (
    "auto",
    "openai-usage",
    "openai-costs",
    "anthropic-usage",
    "anthropic-costs",
    "openrouter",
    "generic",
)
_COLUMNS: Final = (
    Column("day"),
    Column("model"),
    Column("provider"),
    Column("ledger"),
    Column("difference"),
    Column("unexplained"),
    Column("verdict"),
    Column("why"),
)


@usage.verb(
    "reconcile",
    examples="""
    gwctl usage reconcile --upstream openai --file completions_usage_2026-10.csv --month 2026-10
    gwctl usage reconcile --upstream openai --file cost_2026-10.csv --tolerance 0.5% --json
    gwctl usage reconcile --upstream local --file bill.csv --columns date=Day,model=Model,cost=USD
    """,
)
def reconcile(
    session: Session,
    upstream: Annotated[
        str, typer.Option("--upstream", metavar="NAME", help="Whose bill it is.", autocompletion=names_of("upstreams"))
    ],
    file: Annotated[Path, typer.Option("--file", metavar="EXPORT.csv", help="The provider's export; - for stdin.")],
    form: Annotated[
        str,
        typer.Option("--format", metavar="FORMAT", help=f"{', '.join(_FORMATS)}.", autocompletion=names_in(_FORMATS)),
    ] = "auto",
    columns: Annotated[
        str | None,
        typer.Option("--columns", metavar="LIST", help="Of any other CSV: date=DAY,model=MODEL,cost=USD and so on."),
    ] = None,
    month: Annotated[
        str | None,
        typer.Option("--month", metavar="YYYY-MM", help="The whole of it, also days that the export leaves out."),
    ] = None,
    tz: Zone = "UTC",
    tolerance: Annotated[
        str, typer.Option("--tolerance", metavar="SHARE", help="How much may remain unexplained.")
    ] = "1%",
) -> None:
    """Compare a provider's export of usage or costs with the ledger, by day and model.

    Costs where the export has any, else tokens. Each difference is explained as far as the ledger can account for it.
    Exits with 7 where more than --tolerance of the larger side remains unexplained, or where nothing could be judged.
    """
    from keyvault.foreign.bills import columns_of, read_bill
    from keyvault.metering.spans import zone_of

    allowed = _share(tolerance)
    given = None if columns is None else columns_of(columns)
    zone = zone_of(tz)
    days = None if month is None else _days(month, zone)
    bill = read_bill(read_text(session, file), str(file), form, given, zone)
    reconciler = session.home.reconciler
    name = reconciler.spelled(upstream) or session.home.upstreams.get(upstream).name
    found = reconciler.reconcile(name, bill, tz, days)
    _show(session, found, tolerance)
    if not found.judged:
        raise CheckFailed(
            f"nothing could be judged: {_scope(found)}", hint="gwctl usage reconcile when the days are over"
        )
    if found.share > allowed:
        raise CheckFailed(
            f"{found.share:.2%} of the larger side is not explained, {tolerance} may be",
            hint="gwctl usage export --raw for the rows of a day",
        )
    if session.options.format is Format.TABLE:
        session.io.note(f"{_scope(found)}: {found.share:.2%} is not explained, {tolerance} may be")


def _days(month: str, zone: tzinfo) -> tuple[str, str]:
    """The first and the last of a month."""
    start, end = month_of(month, zone)
    return start.date().isoformat(), (end.date() - timedelta(days=1)).isoformat()


def _scope(found: Reconciliation) -> str:
    """What was compared, and how much of it is not judged."""
    first, last = found.days
    days = first if first == last else f"{first} to {last}"
    unit = f" {CURRENCY}" if found.by_cost else " tokens"
    waits = f", {cell(_value(found, found.not_over))}{unit} of days that are not over" if found.not_over else ""
    return f"{days}, {counted(len(found.lines), 'line')}{waits}"


def _share(text: str) -> float:
    """`1%` or `0.01`. Raises `UsageError`."""
    value = number(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 <= value < 1:
        raise UsageError(f"--tolerance is not a share: {text[:20]!a}", hint="write it like 1%")
    return float(value)


def _show(session: Session, found: Reconciliation, tolerance: str) -> None:
    extra = {
        "upstream": found.upstream,
        "format": found.form,
        "compared": "cost" if found.by_cost else "tokens",
        "currency": CURRENCY if found.by_cost else None,
        "tz": found.tz,
        "first_day": found.days[0],
        "last_day": found.days[1],
        "not_over": _value(found, found.not_over),
        "tolerance": tolerance,
        "unexplained_share": round(found.share, 6),
    }
    total = {
        "provider": _value(found, found.theirs),
        "ledger": _value(found, found.ours),
        "difference": _value(found, found.theirs - found.ours),
        "unexplained": _value(found, found.unexplained),
    }
    rows = [_row(found, line) for line in found.lines]
    session.show(Listing("lines", rows, _COLUMNS, key="day", extra=extra, total=total))


def _row(found: Reconciliation, line: Comparison) -> Row:
    amounts = [f"{reason.text}: {_value(found, reason.amount)}" for reason in line.reasons]
    return {
        "day": line.day,
        "model": line.model or None,
        "provider": _value(found, line.theirs),
        "ledger": _value(found, line.ours),
        "difference": _value(found, line.difference),
        "unexplained": _value(found, line.unexplained),
        "verdict": line.verdict.value,
        "why": "; ".join([*amounts, *([line.remark] if line.remark else [])]) or None,
    }


def _value(found: Reconciliation, amount: int) -> Amount | int:
    return Amount(amount) if found.by_cost else amount
