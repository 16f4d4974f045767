"""A comparison from its questions to its report, with models that answer as they are told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keyvault.clock import Clock
from keyvault.errors import UsageError
from opsconsole.staging.asking import Answer
from opsconsole.staging.comparison.collecting import Pace, earlier_answers
from opsconsole.staging.comparison.comparing import Comparing
from opsconsole.staging.comparison.comparisons import finished, shown
from opsconsole.staging.comparison.findings import comparison
from opsconsole.staging.comparison.plan import Plan
from opsconsole.staging.comparison.prompts import Model, Prompt, Question, Sending, usable
from opsconsole.staging.comparison.review import Review
from opsconsole.staging.exchanges import Exchange
from opsconsole.staging.runs import Run, Runs
from opsconsole.view.comparison.report import Comparison, Measure, Verdict

Says = Callable[[str, str], str]
"""(model, what it is asked) → its answer."""
CENT = 10**10


class Interrupted(Exception):
    """Somebody has pressed Ctrl-C."""


class Bill:
    """Every request costs a cent, and at most two."""

    def at_most(self, question: Question) -> int:
        return 2 * CENT

    def cost(self, question: Question, answer: Answer, found: Any) -> int | None:
        return CENT if found.error is None else None


class Place:
    """Models behind one function; remembers what they were asked."""

    def __init__(self, says: Says, *, most: int | None = None) -> None:
        self.asked: list[str] = []
        self._says = says
        self._most = most

    async def ask(self, question: Question) -> Answer:
        if self._most is not None and len(self.asked) >= self._most:
            raise Interrupted
        self.asked.append(question.id)
        body = msgspec.json.decode(question.body)
        text = self._says(body["model"], body["messages"][-1]["content"])
        if text == "error":
            return Answer(500, body=b'{"error": {"message": "away", "code": "server_error"}}', total_ms=1.0)
        told = {
            "choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": len(text.split())},
        }
        return Answer(200, body=msgspec.json.encode(told), total_ms=float(len(text)))


def prompts(count: int, *, right: str | None = "yes", task: str | None = None) -> list[Prompt]:
    found = []
    for at in range(count):
        body = msgspec.json.encode({"messages": [{"role": "user", "content": f"question {at}"}]})
        expected = None if right is None else {"exact": right}
        found.append(Prompt.of(Exchange(f"{task or 'p'}{at}", "/chat/completions", body, task=task, expected=expected)))
    return found


def plan(given: Iterable[Prompt], *models: str, repeat: int = 1, judge: str | None = None) -> Plan:
    names = [Model(name, name) for name in models or ("a", "b")]
    judging = None if judge is None else Model(judge, judge)
    return Plan(tuple(given), tuple(names), repeat, Sending(stream=False), judging, None, "here")


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path, Clock())


def begin(runs: Runs, wanted: Plan) -> Run:
    return runs.begin("compare", "a, b", wanted.told())


def carried_out(runs: Runs, run: Run, place: Place, *, max_cost: int | None = None, at_once: int = 3) -> bool:
    comparing = Comparing(run, earlier_answers(runs, run))
    try:
        return asyncio.run(comparing.go(place.ask, Bill(), Pace(at_once), max_cost, lambda _: lambda *_: None))
    finally:
        run.release()


def compared(runs: Runs, wanted: Plan, says: Says) -> Comparison:
    run = begin(runs, wanted)
    assert carried_out(runs, run, Place(says))
    return comparison(run)


def test_a_model_that_is_right_more_often_is_told_apart(runs: Runs) -> None:
    found = compared(runs, plan(prompts(20)), lambda model, asked: "yes" if model == "a" or "1" in asked else "no")
    [told] = found.of(Measure.EXPECTED)
    assert (told.verdict, told.estimate, told.prompts) == (Verdict.FIRST, 9 / 20, 20)
    assert [best.model for best in found.best] == ["a"]
    assert [each.right.value for each in found.models if each.right] == [1.0, 11 / 20]


def test_the_best_of_a_task_is_named_only_where_it_is_shown(runs: Runs) -> None:
    given = [*prompts(12, task="extract"), *prompts(4, task="chat")]
    found = compared(runs, plan(given), lambda model, _: "yes" if model == "b" else "no")
    assert {best.task: best.model for best in found.best} == {None: "b", "extract": "b", "chat": None}


def test_the_best_is_better_than_every_other_one(runs: Runs) -> None:
    def says(model: str, asked: str) -> str:
        return "yes" if model == "a" or (model == "b" and not asked.endswith("3")) else "no"

    found = compared(runs, plan(prompts(20), "a", "b", "c"), says)
    verdicts = {(each.first, each.second): each.verdict for each in found.of(Measure.EXPECTED)}
    assert verdicts == {("a", "b"): Verdict.UNCLEAR, ("a", "c"): Verdict.FIRST, ("b", "c"): Verdict.FIRST}
    assert [(best.model, best.among) for best in found.best] == [(None, ("a", "b"))]


def test_repeats_of_a_prompt_count_once_by_their_mean(runs: Runs) -> None:
    turns: dict[tuple[str, str], int] = {}

    def says(model: str, asked: str) -> str:
        turns[model, asked] = turn = turns.get((model, asked), 0) + 1
        return "yes" if model == "a" and turn > 1 else "no"

    found = compared(runs, plan(prompts(10), repeat=4), says)
    [told] = found.of(Measure.EXPECTED)
    assert (told.prompts, told.estimate) == (10, 0.75)
    assert [each.asked for each in found.models] == [40, 40]


def test_an_answer_that_failed_is_wrong_and_takes_no_time(runs: Runs) -> None:
    found = compared(runs, plan(prompts(8)), lambda model, asked: "error" if model == "b" else "yes")
    a, b = found.models
    assert (a.answered, b.answered, b.errors) == (8, 0, ("500 server_error: away",))
    assert b.right is not None
    assert (b.right.value, b.total_ms, b.cost_pico) == (0.0, None, None)
    assert found.of(Measure.TOTAL) == []


def test_what_it_cost_is_what_the_answers_cost(runs: Runs) -> None:
    found = compared(runs, plan(prompts(3)), lambda *_: "yes")
    assert [(each.cost_pico, each.unknown_costs, each.output_tokens) for each in found.models] == [(3 * CENT, 0, 3)] * 2


def test_each_model_is_asked_first_as_often_as_the_others(runs: Runs) -> None:
    asked = [each.model.name for each in plan(prompts(6), "a", "b", "c").questions()]
    assert sorted(asked[::3]) == ["a", "a", "b", "b", "c", "c"]


def test_a_second_look_asks_nothing_again(runs: Runs) -> None:
    compared(runs, plan(prompts(5)), lambda *_: "yes")
    place = Place(lambda *_: "no")
    again = begin(runs, plan(prompts(5), "a", "b", "c"))
    assert carried_out(runs, again, place)
    assert len(place.asked) == 5  # those to c
    found = comparison(again)
    assert [each.reused for each in found.models] == [5, 5, 0]
    assert "10 of 15 answers, with their times, are those of an earlier comparison" in found.remarks


def test_answers_go_with_the_comparison_that_is_deleted(runs: Runs) -> None:
    first = begin(runs, plan(prompts(2)))
    carried_out(runs, first, Place(lambda *_: "yes"))
    first.delete()
    place = Place(lambda *_: "yes")
    carried_out(runs, begin(runs, plan(prompts(2))), place)
    assert len(place.asked) == 4


def test_an_interrupted_comparison_asks_only_what_is_missing_or_failed(runs: Runs) -> None:
    run = begin(runs, plan(prompts(5)))
    with pytest.raises(ExceptionGroup):
        carried_out(runs, run, Place(lambda model, _: "error" if model == "b" else "yes", most=4), at_once=1)
    assert comparison(run).unfinished == "6 of 10 answers are missing"
    place = Place(lambda *_: "yes")
    assert carried_out(runs, run, place)
    assert len(place.asked) == 8  # two of four were answered
    assert comparison(run).unfinished is None


@pytest.mark.parametrize("at_once", [1, 8])
def test_a_ceiling_is_never_exceeded_and_used_as_far_as_it_goes(runs: Runs, at_once: int) -> None:
    run, place = begin(runs, plan(prompts(10))), Place(lambda *_: "yes")
    assert not carried_out(runs, run, place, max_cost=7 * CENT, at_once=at_once)
    assert len(place.asked) == 6  # the seventh could have cost two cents
    assert carried_out(runs, run, place, max_cost=40 * CENT)
    assert len(place.asked) == 20


def test_what_costs_nobody_knows_counts_at_its_most(runs: Runs) -> None:
    run, place = begin(runs, plan(prompts(10))), Place(lambda *_: "error")
    assert not carried_out(runs, run, place, max_cost=7 * CENT)
    assert len(place.asked) == 3


def judge(prefers: Callable[[str, str], str]) -> Says:
    def says(model: str, asked: str) -> str:
        if model != "judge":
            return f"{model} says {asked}" + " at length" * (model == "a")
        one, two = (asked.split(f"<answer-{which}")[1].split("</answer")[0] for which in ("one", "two"))
        return f"Because.\n\n**VERDICT: {prefers(one, two)}**"

    return says


def test_a_judge_sees_each_pair_in_both_orders(runs: Runs) -> None:
    wanted = plan(prompts(12, right=None), judge="judge")
    found = compared(runs, wanted, judge(lambda one, two: "ONE" if len(one) > len(two) else "TWO"))
    [told] = found.of(Measure.JUDGE)
    assert (told.verdict, told.estimate) == (Verdict.FIRST, 1.0)
    assert found.judging is not None
    assert (found.judging.pairs, found.judging.agreeing, found.judging.cost_pico) == (12, 12, 24 * CENT)
    assert found.judging.as_reviewed is None


def test_a_judge_is_held_against_a_person_who_decided_the_same_pairs(runs: Runs) -> None:
    run = begin(runs, plan(prompts(4, right=None), judge="judge"))
    carried_out(runs, run, Place(judge(lambda one, two: "ONE" if len(one) > len(two) else "TWO")))
    review = Review(run)
    while (pair := review.next()) is not None:
        longer = "left" if len(pair.left) > len(pair.right) else "right"
        review.decide(pair.id, longer if review.decided < 3 else "equal")
    review.close()
    judging = comparison(run).judging
    assert judging is not None
    assert judging.as_reviewed is not None
    assert (judging.as_reviewed.value, judging.as_reviewed.of) == (0.75, 4)


def test_a_judge_that_likes_what_it_sees_first_tells_nothing(runs: Runs) -> None:
    found = compared(runs, plan(prompts(12, right=None), judge="judge"), judge(lambda *_: "ONE"))
    [told] = found.of(Measure.JUDGE)
    assert (told.verdict, told.estimate) == (Verdict.UNCLEAR, 0.0)
    assert found.judging is not None
    assert found.judging.agreeing == 0
    assert found.judging.first_place is not None
    assert found.judging.first_place.value == 1.0


def test_a_judge_without_a_verdict_decides_nothing_and_equal_answers_are_not_put_to_it(runs: Runs) -> None:
    unclear = compared(runs, plan(prompts(3, right=None), judge="judge"), judge(lambda *_: "maybe"))
    assert unclear.judging is not None
    assert (unclear.judging.undecided, unclear.of(Measure.JUDGE)) == (3, [])
    same = compared(runs, plan(prompts(3, right=None), "c", "d", judge="judge"), lambda *_: "same")
    assert same.judging is not None
    assert (same.judging.pairs, same.models[0].preferred["judge"]) == (0, (0, 3, 0))


def test_a_blind_review_hides_who_says_what_and_can_be_left_and_taken_back(runs: Runs) -> None:
    run = begin(runs, plan(prompts(30, right=None)))
    carried_out(runs, run, Place(lambda model, asked: f"the {'good' if model == 'b' else 'poor'} answer to {asked}"))
    sides = set()
    for most in (10, 30):
        review = Review(run)
        while review.decided < most and (pair := review.next()) is not None:
            good = "left" if "good" in pair.left else "right"
            sides.add(good)
            assert "question" in pair.request
            review.decide(pair.id, good)
        review.close()
    assert sides == {"left", "right"}
    review = Review(run)
    assert (review.next(), review.undo(), review.pending) == (None, True, 1)
    review.close()
    found = comparison(run)
    assert (found.reviewed, found.review_pending) == (29, 1)
    [told] = found.of(Measure.REVIEW)
    assert (told.verdict, told.estimate, found.best[0].model) == (Verdict.SECOND, -1.0, "b")


def test_a_review_outweighs_expected_answers_once_it_is_done(runs: Runs) -> None:
    run = begin(runs, plan(prompts(12)))
    carried_out(runs, run, Place(lambda model, asked: "yes" if model == "a" else f"no to {asked}"))
    review = Review(run)
    while (pair := review.next()) is not None:
        review.decide(pair.id, "left" if pair.right == "yes" else "right")  # a person likes b better
        if review.decided == 6:
            assert (comparison(run).quality, comparison(run).best[0].model) == (Measure.EXPECTED, "a")
    review.close()
    assert (comparison(run).quality, comparison(run).best[0].model) == (Measure.REVIEW, "b")


def test_what_was_found_is_kept_until_something_comes_to_it(runs: Runs) -> None:
    run = begin(runs, plan(prompts(2)))
    carried_out(runs, run, Place(lambda model, _: model))
    assert shown(run).reviewed == 0
    finished(run)
    assert shown(run) == comparison(run)
    review = Review(run)
    pair = review.next()
    assert pair is not None
    review.decide(pair.id, "equal")
    review.close()
    assert shown(run).reviewed == 1
    run.finish({"written": "by an earlier version"}, "passed")
    assert shown(run).prompts == 2
    assert run.summary().verdict == "no difference shown"


def test_a_key_lives_as_long_as_the_asking_may_take(runs: Runs) -> None:
    comparing = Comparing(begin(runs, plan(prompts(50), "a", "b", "c", repeat=2, judge="j")), {})
    assert comparing.lasts(Pace(at_once=4)) == timedelta(seconds=(300 + 600) * 120 / 4)
    assert comparing.lasts(Pace(at_once=200)) == timedelta(hours=1)
    assert comparing.lasts(Pace(at_once=200, rate=0.1)) == timedelta(seconds=900 * 10)


def test_a_choice_of_another_review_is_refused(runs: Runs) -> None:
    run = begin(runs, plan(prompts(1, right=None)))
    carried_out(runs, run, Place(lambda model, _: model))
    review = Review(run)
    pair = review.next()
    assert pair is not None
    for pair_id, choice in (("elsewhere", "left"), (pair.id, "both")):
        with pytest.raises(UsageError):
            review.decide(pair_id, choice)  # type: ignore[arg-type]


def test_a_prompt_keeps_what_it_says_itself() -> None:
    told = [
        {"prompt": "a"},
        {"messages": [], "stream": False, "temperature": 1.0, "max_completion_tokens": 7},
        {"input": "x"},
        {"url": "/v1/messages", "body": {"messages": [], "max_tokens": 5}},
    ]
    found = [Exchange(str(at), path, msgspec.json.encode(body)) for at, (path, body) in enumerate(_bodies(told))]
    wanted = Plan(tuple(map(Prompt.of, found)), (Model("m", "real"),), 1, Sending(max_tokens=50), None, None, "here")
    bodies = [msgspec.json.decode(each.body) for each in wanted.questions()]
    assert [each["model"] for each in bodies] == ["real"] * 4
    assert [each["stream"] for each in bodies] == [True, False, True, True]
    assert [each.get("max_tokens") for each in bodies] == [50, None, None, 5]
    assert (bodies[1]["max_completion_tokens"], bodies[2]["max_output_tokens"]) == (7, 50)
    assert [("stream_options" in each) for each in bodies] == [True, False, False, False]


def _bodies(told: list[dict[str, Any]]) -> Iterable[tuple[str, Any]]:
    for each in told:
        if "prompt" in each:
            yield "/chat/completions", {"messages": [{"role": "user", "content": each["prompt"]}]}
        elif "url" in each:
            yield each["url"].removeprefix("/v1"), each["body"]
        else:
            yield ("/responses" if "input" in each else "/chat/completions"), each


def test_a_plan_reads_back_as_it_was_written() -> None:
    wanted = plan(prompts(3, task="t"), repeat=2, judge="j")
    again = Plan.of(msgspec.json.decode(msgspec.json.encode(wanted.told())))
    assert [each.id for each in again.questions()] == [each.id for each in wanted.questions()]
    assert (again.tasks, again.judge, again.sending) == (wanted.tasks, wanted.judge, wanted.sending)


def test_prompts_that_cannot_be_judged_by_are_refused_by_their_name() -> None:
    bad = Exchange("seven", "/chat/completions", b"{}", expected={"like": "x"})
    with pytest.raises(UsageError, match="prompt 'seven'"):
        usable([bad], "file")
    with pytest.raises(UsageError, match="no prompts"):
        usable([Exchange("x", "/embeddings", b"{}")], "file")
