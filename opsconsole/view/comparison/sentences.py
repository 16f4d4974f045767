"""What a comparison is worth, said plainly: which model is better and by how much, or that there are too few prompts
to tell, and how many it would take.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from keyvault.domain.names import counted
from opsconsole.view.comparison.report import Best, Comparison, Difference, Judging, Measure, Verdict
from opsconsole.view.numbers import percent

MOST_NEEDED: Final = 100_000
"""Beyond so many prompts it is said that no number of them is worth it."""
_WORSE_THAN_CHANCE: Final = 0.6
"""A judge whose orders agree less often than this decides by something else than the answers."""


def sentences(comparison: Comparison) -> list[str]:
    """What there is to say, the weightiest first."""
    return list(_sentences(comparison))


def _sentences(comparison: Comparison) -> Iterator[str]:
    if comparison.unfinished is not None:
        yield f"not finished: {comparison.unfinished}"
    for each in comparison.models:
        if each.answered < each.asked:
            failed = f"{each.asked - each.answered} of {counted(each.asked, 'request')}"
            yield f"{each.model} failed in {failed}: {each.errors[0] if each.errors else 'no reason told'}"
    if not comparison.qualities:
        yield (
            "nothing tells which answers are better: give prompts an expected answer, name a judge, or review them with"
            f" gwctl compare review {comparison.id[-8:]}"
        )
    yield from (best_of(each, len(comparison.models)) for each in comparison.best if each.task is None)
    for measure in comparison.qualities:
        yield from map(difference, comparison.of(measure))
    yield from (best_of(each, len(comparison.models)) for each in comparison.best if each.task is not None)
    if comparison.judging is not None:
        yield judging(comparison.judging)
    for measure in (Measure.FIRST_CONTENT, Measure.TOTAL, Measure.COST):
        yield from map(difference, comparison.of(measure))


def best_of(best: Best, models: int) -> str:
    """`best for extract: b, shown on 24 prompts`, or between which of so many models no difference is shown."""
    where = f"best for {best.task}" if best.task is not None else "best over all"
    on = counted(best.prompts, "prompt")
    if best.model is not None:
        return f"{where}: {best.model}, shown on {on}"
    if 1 < len(best.among) < models:
        return f"{where}: {', '.join(best.among[:-1])} or {best.among[-1]}, no difference between them shown on {on}"
    return f"{where}: no difference shown on {on}"


def difference(told: Difference) -> str:
    """One comparison of two models as a sentence."""
    where = f"{told.task}: " if told.task is not None else ""
    if told.estimate is None:
        return f"{where}{_WHAT[told.measure]}, {told.first} and {told.second}: {_too_few(told)}"
    if told.verdict is Verdict.UNCLEAR:
        return where + (_unclear_quality(told) if told.measure.is_quality else _unclear_ratio(told))
    better, worse = (told.first, told.second) if told.verdict is Verdict.FIRST else (told.second, told.first)
    sure = f"on {counted(told.prompts, 'prompt')}{_interval(told)}; {_p(told)}"
    if told.measure.is_quality:
        return f"{where}{better} {_BETTER[told.measure]} {worse}: {_points(told)} {sure}"
    return f"{where}{better} {_BETTER[told.measure]} {worse}: {_ratio(told)} {sure}"


def judging(told: Judging) -> str:
    """How far a judge can be relied on."""
    if not told.pairs:
        return f"{told.judge} had nothing to judge"
    known = told.pairs - told.undecided
    if not known:
        return f"{told.judge}, the judge, gave no verdict that could be read about any of {counted(told.pairs, 'pair')}"
    agreed = f"agreed with itself in both orders about {told.agreeing} of {counted(known, 'pair')}"
    first = ""
    if told.first_place is not None and told.first_place.low > 0.5:
        first = f"; it prefers what it sees first ({percent(told.first_place.value)} of its preferences)"
    person = ""
    if told.as_reviewed is not None:
        person = f"; it said what the reviewer said about {percent(told.as_reviewed.value)} of {told.as_reviewed.of}"
    unread = f"; about {told.undecided} it gave no verdict" if told.undecided else ""
    doubt = "; do not rely on it" if told.agreeing / known < _WORSE_THAN_CHANCE else ""
    return f"{told.judge}, the judge, {agreed}{first}{person}{unread}{doubt}"


_WHAT: Final = {
    Measure.EXPECTED: "right answers",
    Measure.JUDGE: "preference of the judge",
    Measure.REVIEW: "preference of the reviewer",
    Measure.FIRST_CONTENT: "time to the first content",
    Measure.TOTAL: "time of whole answers",
    Measure.COST: "cost",
}
_BETTER: Final = {
    Measure.EXPECTED: "answers better than",
    Measure.JUDGE: "is preferred by the judge to",
    Measure.REVIEW: "is preferred by the reviewer to",
    Measure.FIRST_CONTENT: "begins to answer sooner than",
    Measure.TOTAL: "answers faster than",
    Measure.COST: "costs less than",
}


def _unclear_quality(told: Difference) -> str:
    """Too few prompts to tell, and how many it would take."""
    pair = f"{told.first} from {told.second}"
    if not told.estimate:
        least = (
            "" if told.detectable is None else f"; a difference below {_number(told.detectable)} points would not show"
        )
        return f"not enough prompts to tell {pair}: {_on(told)} show none in {_WHAT[told.measure]}{least}"
    ahead = told.first if told.estimate > 0 else told.second
    seen = f"{_on(told)} show {_points(told)} for {ahead}{_interval(told)}"
    return f"not enough prompts to tell {pair}: {seen}; {_p(told)}; {_needed(told)}"


def _unclear_ratio(told: Difference) -> str:
    pair = f"{told.first} and {told.second}"
    seen = f"{_ratio(told)} on {counted(told.prompts, 'prompt')}{_interval(told)}"
    more = "" if told.needed is None else f"; {_needed(told)}"
    return f"{_WHAT[told.measure]}, {pair}: no difference shown ({seen}; {_p(told)}){more}"


def _needed(told: Difference) -> str:
    if told.needed is None:
        return "how many it would take is not known"
    if told.needed > MOST_NEEDED:
        return f"if that is the difference, not even {MOST_NEEDED:,} prompts would tell"
    return f"if that is the difference, about {rough(told.needed):,} prompts would tell"


def rough(prompts: int) -> int:
    """Two digits, rounded up: more would be a promise."""
    size: int = 10 ** max(0, len(str(prompts)) - 2)
    return -(-prompts // size) * size


def _too_few(told: Difference) -> str:
    return f"too few prompts that both were measured on ({told.prompts})"


def _on(told: Difference) -> str:
    return counted(told.prompts, "prompt")


def _points(told: Difference) -> str:
    return f"{_number(abs(told.estimate or 0))} points"


def _number(share: float) -> str:
    return f"{share * 100:.0f}" if share >= 0.095 else f"{share * 100:.1f}"


def _ratio(told: Difference) -> str:
    """Of the two, how much the one that is named first in the sentence takes of the other."""
    assert told.estimate is not None
    turned = told.verdict is Verdict.SECOND
    value = (1 / told.estimate if told.estimate else 0) if turned else told.estimate
    of = told.first if turned else told.second
    typically = "" if told.measure is Measure.COST else "typically "
    return f"{typically}{ratio(value)} of what {of} takes"


def ratio(value: float) -> str:
    """Two digits behind the point, or two that say something."""
    return f"{value:.2f}" if value >= 0.095 or not value else f"{value:.2g}"


def _interval(told: Difference) -> str:
    """Turned to stand as the sentence does."""
    if told.low is None or told.high is None:
        return ""
    low, high = told.low, told.high
    if told.measure.is_quality:
        if (told.estimate or 0) < 0:
            low, high = -high, -low
        return f" (95 % interval {_signed(low)} to {_signed(high)})"
    if told.verdict is Verdict.SECOND:
        low, high = (1 / high if high else 0.0), (1 / low if low else 0.0)
    return f" (95 % interval {ratio(low)} to {ratio(high)})"


def _signed(share: float) -> str:
    return f"{share * 100:+.0f}" if abs(share) >= 0.095 or not share else f"{share * 100:+.1f}"


def _p(told: Difference) -> str:
    among = "" if told.comparisons == 1 else f", corrected for {told.comparisons} comparisons"
    value = told.adjusted_p if told.adjusted_p is not None else 1.0
    return f"p {'< 0.001' if value < 0.001 else f'{value:.3f}' if value < 0.1 else f'{value:.2f}'}{among}"
