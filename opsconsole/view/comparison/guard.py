"""Whether models hold against a baseline, for CI."""

from __future__ import annotations

from opsconsole.view.comparison.report import Comparison, Difference, Verdict
from opsconsole.view.comparison.sentences import difference


def worse_than(comparison: Comparison, baseline: str, margin: float | None) -> list[str]:
    """Why models do not hold against a baseline; empty: all do.

    Without a margin only what is shown to be worse does not hold. With one, a model holds only where the prompts show
    that it is not worse by more than that: the end of its interval has to lie within.
    """
    measure = comparison.quality
    if measure is None:
        return ["nothing tells which answers are better"]
    told = [each for each in comparison.of(measure) if baseline in (each.first, each.second)]
    shown = [difference(each) for each in told if _is_worse(each, baseline)]
    if margin is None or shown:
        return shown
    return [_not_shown(each, baseline, margin) for each in told if _loss(each, baseline) > margin]


def _is_worse(each: Difference, baseline: str) -> bool:
    return each.verdict is (Verdict.FIRST if each.first == baseline else Verdict.SECOND)


def _loss(each: Difference, baseline: str) -> float:
    """The most that the other model may be worse by; where nothing tells how sure it is, everything."""
    if each.low is None or each.high is None:
        return 0.0 if each.estimate == 0 and each.prompts else 1.0
    return each.high if each.first == baseline else -each.low


def _not_shown(each: Difference, baseline: str, margin: float) -> str:
    other = each.second if each.first == baseline else each.first
    most = _loss(each, baseline)
    return f"{other} may be worse by up to {most * 100:.0f} points, and {margin * 100:g} are allowed"
