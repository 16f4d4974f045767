"""What a replay came to: how many were served, what broke, and how latency and cost compare to what was recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any, Final

MOST_EXAMPLES: Final = 5


@dataclass(frozen=True, slots=True)
class Compared:
    """A figure now and before, over the requests of which both are known."""

    pairs: int
    now: float | None
    before: float | None

    @property
    def ratio(self) -> float | None:
        return self.now / self.before if self.now is not None and self.before else None


@dataclass(frozen=True, slots=True)
class Kind:
    """Findings of one kind."""

    kind: str
    breaks: bool
    requests: int
    examples: tuple[str, ...]
    """The commonest texts, each with how often and the line of one."""


@dataclass(frozen=True, slots=True)
class Report:
    """The whole replay."""

    requests: int
    """In the file, without unusable lines."""
    sent: int
    served: int
    broken: int
    """Requests with a finding that breaks."""
    kinds: tuple[Kind, ...]
    first_content_ms: Mapping[str, Compared]
    """By quantile: `p50`, `p95`."""
    total_ms: Mapping[str, Compared]
    cost_pico: Compared
    spent_pico: int
    unknown_costs: int
    stopped: str | None = None
    """Why not all were sent."""

    @property
    def passed(self) -> bool:
        return self.sent > 0 and not self.broken and self.stopped is None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def report_of(records: Mapping[str, Mapping[str, Any]], requests: int, stopped: str | None = None) -> Report:
    """The report on what a run has done so far, by the records of its requests."""
    each = list(records.values())
    costs = [record["cost_pico"] for record in each]
    return Report(
        requests=requests,
        sent=len(each),
        served=sum(1 for record in each if record["status"] is not None and record["status"] < 400),
        broken=sum(1 for record in each if any(found["breaks"] for found in record["findings"])),
        kinds=tuple(_kinds(each)),
        first_content_ms=_quantiles(each, "first_content_ms"),
        total_ms=_quantiles(each, "total_ms"),
        cost_pico=_sums(each, "cost_pico"),
        spent_pico=sum(cost for cost in costs if cost is not None),
        unknown_costs=sum(1 for cost in costs if cost is None),
        stopped=stopped,
    )


def quantile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least a share of them do not exceed; None of none."""
    return sorted(values)[max(0, ceil(share * len(values)) - 1)] if values else None


def _kinds(records: Iterable[Mapping[str, Any]]) -> list[Kind]:
    found: dict[tuple[str, bool], list[tuple[str, int]]] = {}
    for record in records:
        for finding in record["findings"]:
            found.setdefault((finding["kind"], finding["breaks"]), []).append((finding["text"], record["line"]))
    kinds = []
    for (kind, breaks), told in found.items():
        lines = dict(sorted(told, key=lambda each: each[1], reverse=True))
        common = Counter(text for text, _ in told).most_common(MOST_EXAMPLES)
        examples = tuple(
            f"{text} ({'once,' if many == 1 else f'{many} times, first'} in line {lines[text]})"
            for text, many in common
        )
        kinds.append(Kind(kind, breaks, len(told), examples))
    return sorted(kinds, key=lambda each: (not each.breaks, -each.requests, each.kind))


def _pairs(records: Iterable[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    both = [(record[name], record["recorded"][name]) for record in records if record["status"] == 200]
    return [(now, before) for now, before in both if now is not None and before is not None]


def _quantiles(records: Iterable[Mapping[str, Any]], name: str) -> dict[str, Compared]:
    known = list(records)
    pairs = _pairs(known, name)
    if pairs:
        now, before = [each[0] for each in pairs], [each[1] for each in pairs]
    else:
        now, before = [r[name] for r in known if r["status"] == 200 and r[name] is not None], []
    return {
        label: Compared(len(pairs), quantile(now, share), quantile(before, share))
        for label, share in (("p50", 0.5), ("p95", 0.95))
    }


def _sums(records: Iterable[Mapping[str, Any]], name: str) -> Compared:
    pairs = _pairs(records, name)
    if not pairs:
        return Compared(0, None, None)
    return Compared(len(pairs), sum(now for now, _ in pairs), sum(before for _, before in pairs))
