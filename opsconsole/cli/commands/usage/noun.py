"""The noun `usage`, whose traffic a question is about, and how its verbs show sums."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from typing import Annotated, Final

import typer

from keyvault.domain.keys import ENVIRONMENTS
from keyvault.domain.reports import DIMENSIONS, Totals
from keyvault.domain.typed import moment, parts
from keyvault.errors import UsageError
from opsconsole.cli.arguments import tags
from opsconsole.cli.completion import names_in
from opsconsole.cli.text import amount
from opsconsole.cli.verbs import Noun

usage = Noun(
    "usage",
    "Requests, tokens, cost and charge.",
    examples="gwctl usage show --since 24h --by key,model\ngwctl usage tail --follow",
    modules={
        "exporting": ("export",),
        "reconciling": ("reconcile",),
        "reporting": ("report",),
        "repricing": ("reprice",),
        "showing": ("show",),
        "tailing": ("tail", "request"),
    },
)

ALL: Final = "all"
_MONTH: Final = re.compile(r"(?P<year>[0-9]{4})-(?P<month>0[1-9]|1[0-2])")
Env = Annotated[
    str | None,
    typer.Option(
        "--env",
        metavar="live|test|all",
        help="Whose keys; live unless grouped by env.",
        autocompletion=names_in((*ENVIRONMENTS, ALL)),
    ),
]
Zone = Annotated[str, typer.Option("--tz", metavar="ZONE", help="Whose days and hours, such as Europe/Berlin.")]
By = Annotated[
    str,
    typer.Option("--by", metavar="LIST", help=f"Any of {','.join(DIMENSIONS)}.", autocompletion=names_in(DIMENSIONS)),
]
TITLES: Final = {
    "input_tokens": "IN",
    "cached_input_tokens": "CACHED",
    "cache_write_tokens": "WRITTEN",
    "output_tokens": "OUT",
    "reasoning_tokens": "REASONING",
    "first_content_ms": "FIRST MS",
    "in_doubt": "IN DOUBT",
}
"""What columns are called where the field's name says too much."""


def dimensions(by: str) -> tuple[str, ...]:
    """What to group by: known names, each once, at least one."""
    asked, hint = parts(by), f"any of {','.join(DIMENSIONS)}"
    for at, name in enumerate(asked):
        if name not in DIMENSIONS:
            raise UsageError(f"usage cannot be grouped by {name[:40]!a}", hint=hint)
        if name in asked[:at]:
            raise UsageError(f"--by names {name} twice", hint=hint)
    if not asked:
        raise UsageError("--by names nothing to group by", hint=hint)
    return asked


def month_of(text: str, zone: tzinfo) -> tuple[datetime, datetime]:
    """When a month such as `2026-10` begins and ends in a zone. Raises `UsageError`."""
    matched = _MONTH.fullmatch(text)
    if not matched or not 1970 <= (year := int(matched["year"])) < 9999:
        raise UsageError(f"not a month: {text[:20]!a}", hint="write it like 2026-10")
    number = int(matched["month"])
    following = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=zone)
    return datetime(year, number, 1, tzinfo=zone), following


def stretch_of(since: str, until: str | None, now: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """From `--since` to `--until`, or to now. Raises `UsageError`."""
    start, end = moment(since, now, past=True, zone=zone), end_of(until, now, zone)
    if end <= start:
        what = "--since is not over yet" if until is None else "--until is not after --since"
        raise UsageError(what, hint="--since 2026-10-01 --until 2026-11-01")
    return start, end


def end_of(until: str | None, now: datetime, zone: tzinfo) -> datetime:
    return now if until is None else moment(until, now, past=True, zone=zone)


def of_env(env: str | None) -> dict[str, tuple[str, ...]]:
    """`--env` as a filter of reports."""
    if env is None:
        return {}
    if env not in (*ENVIRONMENTS, ALL):
        raise UsageError(f"no such environment: {env[:20]!a}", hint=f"{', '.join(ENVIRONMENTS)} or {ALL}")
    return {"env": ENVIRONMENTS if env == ALL else (env,)}


def of_tag(tag: str | None) -> dict[str, tuple[str, ...]]:
    """`--tag` as a filter of reports."""
    if tag is None:
        return {}
    [(name, value)] = tags([tag]).items()
    return {"tag": (f"{name}={value}",)}


def sums(of: Totals) -> dict[str, object]:
    return {
        "requests": of.requests,
        "attempts": of.attempts,
        "errors": of.errors,
        "input_tokens": of.input_tokens,
        "cached_input_tokens": of.cached_input_tokens,
        "cache_write_tokens": of.cache_write_tokens,
        "output_tokens": of.output_tokens,
        "reasoning_tokens": of.reasoning_tokens,
        "cost": amount(of.cost_pico, at_least=of.unknown_cost_attempts > 0),
        "charge": amount(of.told_charge_pico, at_least=of.unknown_charges > 0),
        "in_doubt": amount(of.doubt_pico),
        "unknown_cost_attempts": of.unknown_cost_attempts,
        "basis": of.basis,
    }
