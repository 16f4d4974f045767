"""Step 4: who spent what, and does it add up? The ledger's rows of this very readiness, the earlier steps included."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from keyvault.clock import to_ms, ulid_at
from keyvault.domain.keys import DEFAULT_PROJECT
from keyvault.domain.ledger import Basis, Outcome, Usage
from keyvault.domain.names import counted
from keyvault.domain.prices import cost
from keyvault.errors import Conflict, UsageError
from keyvault.keys.temporary import temporary_name
from keyvault.metering.exporting import FIELDS
from keyvault.money import format_usd
from opsconsole.staging.asking import Answer, Asker, Place
from opsconsole.staging.readiness.drilling import about_one
from opsconsole.staging.readiness.plan import Spend
from opsconsole.staging.readiness.step import PURPOSE, Standing
from opsconsole.view.readiness.report import Evidence, Step

NAME = "spend"
ENV: Final = "test"
OURS: Final = (f"{PURPOSE}-", "drill-")
"""With which the names of the keys begin that the steps make."""
BY: Final = ("key", "project", "customer")
_COUNTS: Final = {
    "input": "input_tokens",
    "cached_input": "cached_input_tokens",
    "cache_write": "cache_write_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "output": "output_tokens",
    "reasoning": "reasoning_tokens",
    "audio_input": "audio_input_tokens",
    "audio_output": "audio_output_tokens",
    "images": "images",
}

Row = Mapping[str, Any]


def added_up(here: Standing, plan: Spend) -> Step:
    """Ask with keys of two projects, and look at what is on record. Raises `GatewayError` where it cannot be tried."""
    with _project(here) as path:
        owners: list[tuple[str, str, Answer]] = []
        for project, count in ((path, plan.requests // 2), (DEFAULT_PROJECT, plan.requests - plan.requests // 2)):
            with here.key(project=project, env=ENV) as (key, place):
                owners += [(key.name, project, answer) for answer in asyncio.run(_asked(here, place, count))]
        here.progress(NAME)(plan.requests, plan.requests)
        rows = list(_rows(here))
        known = {row["request_id"]: row for row in rows}
        evidence = [
            _each_has_its_owner(owners, known),
            *_priced(here, rows),
            *_sums(here, rows),
            _apart(here, rows),
        ]
    spent = sum(row["cost"] or 0 for row in rows)
    told = f"{counted(len(rows), 'attempt')} of {counted(len({row['key'] for row in rows}), 'key')}"
    return Step.of(NAME, f"{told} for {format_usd(spent)} USD", evidence)


def foreseen(here: Standing, plan: Spend) -> tuple[str, int | None]:
    """What would be sent."""
    one = about_one(here)
    return f"{counted(plan.requests, 'request')} with keys of two projects", one and one * plan.requests


@contextlib.contextmanager
def _project(here: Standing) -> Iterator[str]:
    """A project that is gone afterwards; its usage stays under its name."""
    path = here.home.customers.create_project(f"default/{temporary_name(PURPOSE, here.home.clock)}").path
    try:
        yield path
    finally:
        here.home.customers.delete_project(path)


async def _asked(here: Standing, place: Place, count: int) -> list[Answer]:
    """Every second one is a stream."""
    async with Asker(place) as asker:
        return [await asker.ask(here.path, here.question(stream=number % 2 == 1)) for number in range(count)]


def _rows(here: Standing) -> Iterator[Row]:
    """The attempts that keys of this readiness made."""
    since, until = here.began_at, here.home.clock.now() + timedelta(minutes=1)
    for page in here.home.reports.attempts(since, until, after=ulid_at(to_ms(since))):
        for values in page:
            row = dict(zip(FIELDS, values, strict=True))
            if row["env"] == ENV and row["key"].startswith(OURS):
                yield row


def _each_has_its_owner(owners: Sequence[tuple[str, str, Answer]], known: Mapping[str, Row]) -> Evidence:
    """Whether each of our own requests is on record as its key's and its project's."""
    served = [(key, project, answer) for key, project, answer in owners if answer.ok]
    if not served:
        why = owners[0][2].failure or f"status {owners[0][2].status}"
        raise Conflict(f"no request was served: {why}", hint="gwctl usage tail")
    wrong = [
        answer.header("x-request-id") or "no id"
        for key, project, answer in served
        if (row := known.get(answer.header("x-request-id") or "")) is None
        or (row["key"], row["project"].rpartition("/")[2]) != (key, project.rpartition("/")[2])
    ]
    told = f"{len(served) - len(wrong)} of {len(owners)} requests of two projects are on record as theirs"
    return Evidence("each request has its owner", not wrong and len(served) == len(owners), told)


def _priced(here: Standing, rows: Sequence[Row]) -> Iterator[Evidence]:
    """Whether the cost on record is what the price book says of the counts, and how the counts are known."""
    served = [row for row in rows if row["outcome"] == Outcome.SERVED.label]
    priced = [row for row in served if row["price_id"] is not None]
    if not priced:
        target = f"{served[0]['upstream']}/{served[0]['model']}" if served else here.alias
        raise UsageError(f"no price is known of {target}", hint=f"gwctl prices set {target} --input USD --output USD")
    wrong = [row["id"] for row in priced if _by_the_book(here, row) != row["cost"]]
    same = f"{len(priced) - len(wrong)} of {len(priced)} costs are what the prices make of the counts"
    yield Evidence("cost by the price book", not wrong, f"{same}; not {wrong[0]}" if wrong else same)
    without = [row["id"] for row in served if row["basis"] == Basis.UNKNOWN.label]
    bases = ", ".join(sorted({row["basis"] for row in served}))
    yield Evidence("each has a basis", not without, f"not {without[0]}" if without else f"known by {bases}")
    unpriced = len(served) - len(priced)
    yield Evidence("each has a price", not unpriced, f"{unpriced} of {len(served)} attempts have none")


def _by_the_book(here: Standing, row: Row) -> int | None:
    price = here.home.prices.get(row["price_id"])
    counts = {name: row[field] for name, field in _COUNTS.items()}
    if counts["cache_write"] is not None:
        counts["cache_write"] -= counts["cache_write_1h"] or 0
    return None if price is None else cost(price.rates, Usage(**counts))


def _sums(here: Standing, rows: Sequence[Row]) -> Iterator[Evidence]:
    """Whether the reports by key, project and customer say what the rows add up to."""
    since, until = here.began_at, here.home.clock.now() + timedelta(minutes=1)
    keys = sorted({row["key"] for row in rows})
    filters: Mapping[str, Iterable[str]] = {"key": keys, "env": [ENV]}
    reports = here.home.reports.usages(since, until, [(by,) for by in BY], filters=filters)
    for by, report in zip(BY, reports, strict=True):
        told = {row.group[0]: (row.totals.attempts, row.totals.known_cost_pico) for row in report.rows}
        found: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        for row in rows:
            attempts, pico = found[row[by]]
            found[row[by]] = (attempts + 1, pico + (row["cost"] or 0))
        whole = format_usd(report.total.known_cost_pico)
        wrong = [name for name in {*told, *found} if told.get(name) != found.get(name)]
        evidence = f"{counted(len(told), by)}, {whole} USD" if not wrong else f"not of {wrong[0]}"
        yield Evidence(f"sums by {by} are those of the rows", not wrong, evidence)


def _apart(here: Standing, rows: Sequence[Row]) -> Evidence:
    """Whether what keys for tests did is nobody's usage unless it is asked for."""
    since, until = here.began_at, here.home.clock.now() + timedelta(minutes=1)
    report = here.home.reports.usage(since, until, by=("key",))
    among = {row.group[0] for row in report.rows} & {row["key"] for row in rows}
    left = 0 if report.left_out is None else report.left_out.attempts
    told = f"{counted(left, 'attempt')} of keys for tests are left out of usage"
    return Evidence(
        "tests are apart", not among and left >= len(rows), f"{told}, but not {min(among)}" if among else told
    )
