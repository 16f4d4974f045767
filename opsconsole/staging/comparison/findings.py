"""The report of a run: its answers graded, its figures summed up, its differences told, as far as it has come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean, median
from typing import Any, Final

from keyvault.clock import rfc3339
from keyvault.statistics.bootstrap import bootstrap
from opsconsole.staging.comparison import differences
from opsconsole.staging.comparison.collecting import answers_of
from opsconsole.staging.comparison.given import Given
from opsconsole.staging.comparison.judge import JUDGEMENT, judged, judging, share
from opsconsole.staging.comparison.pairing import pairs, preferences, won
from opsconsole.staging.comparison.plan import Plan
from opsconsole.staging.comparison.review import reviewed
from opsconsole.staging.runs import Run
from opsconsole.view.comparison.report import (
    Best,
    Comparison,
    Difference,
    Judging,
    Measure,
    ModelFigures,
    Share,
    Verdict,
    weighed,
)

MOST_ERRORS: Final = 3

Scores = dict[str, dict[str, float]]


def comparison(run: Run, unfinished: str | None = None) -> Comparison:
    """What a run has found so far. `unfinished`: why it is not done, where that is known."""
    plan, done = Plan.of(run.plan), run.done()
    answers = answers_of(done)
    scores = _scores(plan, answers)
    found = pairs(plan.prompts, plan.names, answers, once=True)
    by_hand = reviewed(found, done)
    judge, by_judge = _by_judge(plan, answers, done, {pair.id: value for pair, value in by_hand})
    by_review = preferences(by_hand)
    told = _differences(plan, answers, scores, {Measure.JUDGE: by_judge, Measure.REVIEW: by_review})
    preferred = {
        measure.value: won(plan.names, each)
        for measure, each in ((Measure.JUDGE, by_judge), (Measure.REVIEW, by_review))
        if each
    }
    decided = sum(pair.known is None for pair, _ in by_hand)
    pending = sum(pair.known is None for pair in found) - decided
    missing = len(plan.questions()) - len(answers)
    return Comparison(
        id=run.id,
        title=run.title,
        began_at=rfc3339(run.summary().began_at) or "",
        prompts=len(plan.prompts),
        tasks=tuple(sorted({task for task in plan.tasks.values() if task is not None})),
        repeat=plan.repeat,
        place=plan.url or "this gateway",
        models=tuple(_figures(name, answers, scores.get(name), preferred) for name in plan.names),
        differences=tuple(told),
        best=tuple(_best(plan, told, pending)),
        judging=judge,
        reviewed=decided,
        review_pending=pending,
        remarks=tuple(_remarks(run.id, plan, answers)),
        unfinished=unfinished or (f"{missing} of {len(plan.questions())} answers are missing" if missing else None),
        records=len(done),
    )


def _scores(plan: Plan, answers: Sequence[Given]) -> Scores:
    """The share of right answers by model and prompt, for prompts that say what is expected."""
    wanted = {prompt.id: prompt.expectation for prompt in plan.prompts}
    return _by_prompt(
        plan,
        answers,
        lambda each: (
            None
            if (expectation := wanted.get(each.prompt)) is None
            else float(each.error is None and expectation.wrong(each.spoken) is None)
        ),
    )


def _by_prompt(plan: Plan, answers: Iterable[Given], value: Callable[[Given], float | None]) -> Scores:
    """The mean of a value by model and prompt; an answer without a value leaves its repeats to speak."""
    found: dict[str, dict[str, list[float]]] = {name: {} for name in plan.names}
    for each in answers:
        if (told := value(each)) is not None:
            found[each.model].setdefault(each.prompt, []).append(told)
    return {model: {prompt: fmean(each) for prompt, each in told.items()} for model, told in found.items() if told}


def _by_judge(
    plan: Plan, answers: Sequence[Given], done: Mapping[str, Mapping[str, Any]], by_hand: Mapping[str, float]
) -> tuple[Judging | None, dict[tuple[str, str], dict[str, float]]]:
    if plan.judge is None:
        return None, {}
    every = pairs(plan.prompts, plan.names, answers)
    found = judged(plan.judge, [pair for pair in every if pair.known is None], done)
    decided = [(each.pair, each.value) for each in found if each.value is not None]
    decided += [(pair, pair.known) for pair in every if pair.known is not None]
    costs = [record.get("cost_pico") for record in done.values() if record.get("kind") == JUDGEMENT]
    known = [cost for cost in costs if cost is not None]
    return judging(plan.judge.name, found, by_hand, sum(known) if known else None), preferences(decided)


def _differences(
    plan: Plan,
    answers: Sequence[Given],
    scores: Scores,
    preferred: Mapping[Measure, Mapping[tuple[str, str], Mapping[str, float]]],
) -> list[Difference]:
    whole = [each for each in answers if each.error is None]
    told = differences.of_scores(Measure.EXPECTED, scores, plan.tasks)
    for measure, values in preferred.items():
        told += differences.of_preferences(measure, values, plan.tasks)
    amounts: list[tuple[Measure, Callable[[Given], float | None]]] = [
        (Measure.FIRST_CONTENT, lambda each: each.first_content_ms),
        (Measure.TOTAL, lambda each: each.total_ms),
        (Measure.COST, lambda each: each.cost_pico),
    ]
    for measure, value in amounts:
        told += differences.of_amounts(measure, _by_prompt(plan, whole, value))
    return told


def _figures(
    name: str,
    every: Sequence[Given],
    scores: Mapping[str, float] | None,
    preferred: Mapping[str, Mapping[str, tuple[int, int, int]]],
) -> ModelFigures:
    answers = [each for each in every if each.model == name]
    whole = [each for each in answers if each.error is None]
    costs = [each.cost_pico for each in whole if each.cost_pico is not None]
    errors = Counter(each.error for each in answers if each.error is not None)
    return ModelFigures(
        model=name,
        asked=len(answers),
        answered=len(whole),
        reused=sum(each.reused for each in answers),
        targets=tuple(sorted({each.target for each in whole if each.target is not None})),
        right=_right(scores),
        preferred={judge: told[name] for judge, told in preferred.items()},
        first_content_ms=_median([each.first_content_ms for each in whole]),
        total_ms=_median([each.total_ms for each in whole]),
        input_tokens=_sum([each.usage.input for each in whole]),
        output_tokens=_sum([each.usage.output for each in whole]),
        cost_pico=sum(costs) if costs else None,
        unknown_costs=len(whole) - len(costs),
        errors=tuple(error for error, _ in errors.most_common(MOST_ERRORS)),
    )


def _right(scores: Mapping[str, float] | None) -> Share | None:
    """Prompts are the trials, also where they were asked more than once."""
    if not scores:
        return None
    values = list(scores.values())
    interval = None if all(value in (0.0, 1.0) for value in values) else bootstrap(values, fmean)
    if interval is None:
        return share(round(sum(values)), len(values))
    return Share(fmean(values), interval.low, interval.high, len(values))


def _best(plan: Plan, told: Sequence[Difference], review_pending: int) -> list[Best]:
    """Over all prompts, and in each class of tasks, by the weightiest measure that there is."""
    measure = next(iter(weighed((each.measure for each in told), review_pending)), None)
    found = []
    for task in (None, *sorted({each.task for each in told if each.task is not None})):
        among = [each for each in told if each.measure is measure and each.task == task]
        if measure is not None and among:
            beaten = {name: _beaten_by(name, among) for name in plan.names}
            leader = next((name for name in plan.names if len(beaten[name]) == len(plan.names) - 1), None)
            worse = set().union(*beaten.values())
            left = tuple(name for name in plan.names if name not in worse)
            found.append(Best(task, max(each.prompts for each in among), measure, leader, left))
    return found


def _beaten_by(name: str, among: Sequence[Difference]) -> set[str]:
    """The models that are shown to be worse than one."""
    as_first = {each.second for each in among if each.first == name and each.verdict is Verdict.FIRST}
    return as_first | {each.first for each in among if each.second == name and each.verdict is Verdict.SECOND}


def _remarks(run_id: str, plan: Plan, answers: Sequence[Given]) -> Iterable[str]:
    if plan.left_out:
        yield plan.left_out
    without = sum(prompt.expectation is None for prompt in plan.prompts)
    if 0 < without < len(plan.prompts):
        yield f"{without} of {len(plan.prompts)} prompts say nothing of what is expected: they tell nothing of it"
    if (reused := sum(each.reused for each in answers)) > 0:
        yield f"{reused} of {len(answers)} answers, with their times, are those of an earlier comparison"
    if cut := sum(each.finish in ("length", "max_tokens", "incomplete") for each in answers):
        yield f"{cut} of {len(answers)} answers were cut off by a cap on output"
    if any(each.error is not None for each in answers):
        yield f"what failed is asked again by gwctl compare --resume {run_id[-8:]}"


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None
