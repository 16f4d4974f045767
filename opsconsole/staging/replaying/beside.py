"""Two replays of the same requests side by side: what breaks in one and not in the other, how fast, how dear."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opsconsole.staging.replaying.report import Compared, quantile

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """A request that came out otherwise: another status, or other things to say of it."""

    item: str
    line: int
    one: Record
    other: Record

    @property
    def breaks_anew(self) -> bool:
        """It breaks in the other replay, and did not in the one."""
        return breaks(self.other) and not breaks(self.one)


@dataclass(frozen=True, slots=True)
class Beside:
    """Two replays, over the requests that both have sent."""

    requests: int
    """In both, and the same."""
    apart: int
    """In one of them only, or another request under the same name."""
    broken: Compared
    cost_pico: Compared
    """Over the requests of which both costs are known; `before` is the one, `now` the other."""
    first_content_ms: Mapping[str, Compared]
    total_ms: Mapping[str, Compared]
    differences: tuple[Difference, ...]


def beside(one: Mapping[str, Record], other: Mapping[str, Record]) -> Beside:
    """Two replays by the records of their requests."""
    same = [item for item, record in one.items() if item in other and other[item]["body"] == record["body"]]
    pairs = [(one[item], other[item]) for item in same]
    served = [pair for pair in pairs if all(record["status"] == 200 for record in pair)]
    found = [Difference(item, one[item]["line"], one[item], other[item]) for item in same]
    differences = sorted((each for each in found if _came_out(each.one) != _came_out(each.other)), key=_order)
    return Beside(
        requests=len(same),
        apart=len(one.keys() | other.keys()) - len(same),
        broken=Compared(len(same), sum(breaks(o) for _, o in pairs), sum(breaks(o) for o, _ in pairs)),
        cost_pico=_sums(_known(pairs, "cost_pico")),
        first_content_ms=_quantiles(_known(served, "first_content_ms")),
        total_ms=_quantiles(_known(served, "total_ms")),
        differences=tuple(differences),
    )


def breaks(record: Record) -> bool:
    return any(found["breaks"] for found in record["findings"])


def _came_out(record: Record) -> tuple[Any, ...]:
    """What two replays of a request are told apart by; words, times and tokens differ each time."""
    return record["status"], sorted((found["kind"], found["breaks"]) for found in record["findings"])


def _order(each: Difference) -> tuple[bool, int]:
    return not each.breaks_anew, each.line


def _known(pairs: list[tuple[Record, Record]], name: str) -> list[tuple[float, float]]:
    both = [(one[name], other[name]) for one, other in pairs]
    return [(one, other) for one, other in both if one is not None and other is not None]


def _sums(pairs: list[tuple[float, float]]) -> Compared:
    if not pairs:
        return Compared(0, None, None)
    return Compared(len(pairs), sum(other for _, other in pairs), sum(one for one, _ in pairs))


def _quantiles(pairs: list[tuple[float, float]]) -> Mapping[str, Compared]:
    return {
        label: Compared(
            len(pairs),
            quantile([other for _, other in pairs], share),
            quantile([one for one, _ in pairs], share),
        )
        for label, share in (("p50", 0.5), ("p95", 0.95))
    }
