"""The table, the ratios to nginx, and which budgets are met."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from tests.benchmarks.measure import OPEN_STREAMS, Figures

_COLUMNS: Final = (
    ("CPU/request µs", "cpu_per_request_us", 0),
    ("requests/s", "requests_per_second", 0),
    ("CPU/event µs", "cpu_per_event_us", 1),
    ("p50 at 1, ms", "p50_ms_at_1", 2),
    ("p99 at 1, ms", "p99_ms_at_1", 2),
    ("p50 at 16, ms", "p50_ms_at_16", 2),
    ("p99 at 16, ms", "p99_ms_at_16", 2),
    ("400 kB prompt, +ms CPU", "large_prompt_extra_cpu_ms", 2),
    ("idle MB", "idle_mb", 0),
    (f"{OPEN_STREAMS} streams MB", "open_streams_mb", 0),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One budget: what it allows and what was seen."""

    what: str
    budget: str
    seen: float | None
    met: bool | None
    spread: str = ""
    """What the rounds saw, lowest and highest."""


@dataclass(frozen=True, slots=True)
class Report:
    """One run, all contenders."""

    figures: list[Figures]
    start_up_ms: dict[str, float]

    def by_name(self, name: str) -> Figures | None:
        return next((one for one in self.figures if one.name == name), None)

    def verdicts(self) -> list[Verdict]:
        """The budgets, as far as they were measured."""
        ours, nginx, direct = self.by_name("gateway"), self.by_name("nginx proxy_pass"), self.by_name("direct")
        found = [
            _verdict("gwctl --help", 200, self.start_up_ms.get("gwctl --help"), "ms"),
            _verdict("gwctl keys list", 450, self.start_up_ms.get("gwctl keys list"), "ms"),
        ]
        if ours is None:
            return found
        if nginx is not None:
            found += [
                _relative("CPU per request / nginx", 8, ours, nginx, "cpu_per_request_us"),
                _relative("CPU per event / nginx", 1.4, ours, nginx, "cpu_per_event_us"),
            ]
        if direct is not None:
            found += [
                _verdict("added p50 at concurrency 1", 0.8, _added(ours.p50_ms_at_1, direct.p50_ms_at_1), "ms"),
                _verdict("added p99 at concurrency 1", 3, _added(ours.p99_ms_at_1, direct.p99_ms_at_1), "ms"),
            ]
        return [
            *found,
            _verdict("memory idle", 70, ours.idle_mb, "MB"),
            _verdict(f"memory with {OPEN_STREAMS} open streams", 110, ours.open_streams_mb, "MB"),
            _verdict("extra CPU of a 400 kB prompt", 1, ours.large_prompt_extra_cpu_ms, "ms"),
        ]

    def text(self) -> str:
        lines = [*_table(self.figures), ""]
        for name, taken in self.start_up_ms.items():
            lines.append(f"{name}: {taken:.0f} ms")
        lines += ["", *(_sentence(verdict) for verdict in self.verdicts())]
        lines += [f"{one.name}: {one.errors} requests failed" for one in self.figures if one.errors]
        return "\n".join(lines)

    def save(self, path: Path) -> None:
        """Everything as one JSON document."""
        document = {
            "contenders": [asdict(one) for one in self.figures],
            "start_up_ms": self.start_up_ms,
            "budgets": [asdict(one) for one in self.verdicts()],
        }
        path.write_text(json.dumps(document, indent=2) + "\n")


def _table(figures: Sequence[Figures]) -> Iterable[str]:
    """A Markdown table, one row per contender."""
    rows = [
        ["", *(title for title, _, _ in _COLUMNS)],
        *([one.name, *(_number(getattr(one, name), digits) for _, name, digits in _COLUMNS)] for one in figures),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rows.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        yield f"| {' | '.join(cells)} |"


def _sentence(verdict: Verdict) -> str:
    word = {True: "met", False: "NOT met", None: "not measured"}[verdict.met]
    seen = "" if verdict.seen is None else f", seen {verdict.seen:.2f}"
    return f"{word}: {verdict.what} ≤ {verdict.budget}{seen}{verdict.spread}"


def _verdict(what: str, budget: float, seen: float | None, unit: str) -> Verdict:
    return Verdict(what, f"{budget:g} {unit}", seen, None if seen is None else seen <= budget)


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _relative(what: str, budget: float, ours: Figures, theirs: Figures, name: str) -> Verdict:
    """The median of what each round saw of one figure, as a multiple of another contender's in the same round."""
    pairs = zip(ours.rounds.get(name, ()), theirs.rounds.get(name, ()), strict=False)
    ratios = sorted(one / other for one, other in pairs if other)
    if not ratios:
        return _verdict(what, budget, None, "×")
    spread = f" ({ratios[0]:.2f} to {ratios[-1]:.2f} in {len(ratios)} rounds)"
    return replace(_verdict(what, budget, statistics.median(ratios), "×"), spread=spread)


def _added(ours: float | None, direct: float | None) -> float | None:
    return ours - direct if ours is not None and direct is not None else None
