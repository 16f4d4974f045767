"""What is said of a difference: who is better and how sure that is, or that there are too few prompts to tell."""

from __future__ import annotations

from typing import Any

import pytest

from opsconsole.staging.comparison.differences import of_amounts, of_preferences, of_scores
from opsconsole.view.comparison.forms import document, lines, paper
from opsconsole.view.comparison.guard import worse_than
from opsconsole.view.comparison.report import Best, Comparison, Difference, Judging, Measure, ModelFigures, Share
from opsconsole.view.comparison.sentences import best_of, difference, judging, rough, sentences
from opsconsole.view.paper import as_html, as_markdown, as_text


def passed(first: int, second: int, both: int = 0, neither: int = 0) -> Difference:
    """Two models, by how many prompts only the first, only the second, both and neither of them passed."""
    pattern = [(1.0, 0.0)] * first + [(0.0, 1.0)] * second + [(1.0, 1.0)] * both + [(0.0, 0.0)] * neither
    scores = {name: {str(n): pair[at] for n, pair in enumerate(pattern)} for at, name in enumerate("ab")}
    [told] = of_scores(Measure.EXPECTED, scores, {})
    return told


def took(first: list[float], second: list[float], measure: Measure = Measure.TOTAL) -> Difference:
    amounts = {name: {str(n): value for n, value in enumerate(each)} for name, each in (("a", first), ("b", second))}
    [told] = of_amounts(measure, amounts)
    return told


STEADY = [10.0 + n % 5 for n in range(30)]

SAID = [
    (
        passed(14, 2, both=30, neither=4),
        "a answers better than b: 24 points on 50 prompts (95 % interval +8.8 to +38); p 0.004",
    ),
    (
        passed(2, 14, both=30, neither=4),
        "b answers better than a: 24 points on 50 prompts (95 % interval +8.8 to +38); p 0.004",
    ),
    (
        passed(6, 4, both=36, neither=4),
        (
            "not enough prompts to tell a from b: 50 prompts show 4.0 points for a (95 % interval -9.3 to +17); p 0.75;"
            " if that is the difference, about 1,100 prompts would tell"
        ),
    ),
    (
        passed(4, 4, both=36, neither=6),
        (
            "not enough prompts to tell a from b: 50 prompts show none in right answers;"
            " a difference below 16 points would not show"
        ),
    ),
    (
        passed(0, 0, both=20),
        "not enough prompts to tell a from b: 20 prompts show none in right answers",
    ),
    (
        passed(5, 0),
        (
            "not enough prompts to tell a from b: 5 prompts show 100 points for a (95 % interval +39 to +100); p 0.062;"
            " if that is the difference, about 6 prompts would tell"
        ),
    ),
    (
        took([2 * each for each in STEADY], STEADY),
        "b answers faster than a: typically 0.50 of what a takes on 30 prompts; p < 0.001",
    ),
    (
        took(STEADY, [each + (n % 2) * 8 for n, each in enumerate(STEADY)], Measure.COST),
        "a costs less than b: 0.75 of what b takes on 30 prompts (95 % interval 0.68 to 0.83); p < 0.001",
    ),
    (
        took(STEADY, [each + (1 if n % 2 else -1) for n, each in enumerate(STEADY)], Measure.FIRST_CONTENT),
        (
            "time to the first content, a and b: no difference shown (typically 1.00 of what b takes on 30"
            " prompts (95 % interval 0.97 to 1.04); p 0.82); if that is the difference, about 4,400 prompts would tell"
        ),
    ),
    (
        took([1.0], [2.0]),
        "time of whole answers, a and b: too few prompts that both were measured on (1)",
    ),
]


@pytest.mark.parametrize(("told", "sentence"), SAID, ids=[sentence[:60] for _, sentence in SAID])
def test_a_difference_is_said_as_far_as_it_is_shown(told: Difference, sentence: str) -> None:
    assert difference(told) == sentence


def test_several_comparisons_are_held_against_one_another() -> None:
    """Two models alone would be told apart; as one of three comparisons they are not."""
    alone = passed(8, 1, both=20)
    assert alone.p == alone.adjusted_p == pytest.approx(0.039, abs=1e-3)
    of_a, of_b, of_c = [1] * 8 + [0] + [1] * 20, [0] * 8 + [1] * 21, [1] * 4 + [0] * 5 + [1] * 20
    given = zip("abc", (of_a, of_b, of_c), strict=True)
    scores = {name: {str(n): float(v) for n, v in enumerate(each)} for name, each in given}
    told = of_scores(Measure.EXPECTED, scores, {})
    assert [each.first + each.second for each in told] == ["ab", "ac", "bc"]
    assert told[0].adjusted_p == pytest.approx(3 * 0.0390625)
    assert "p 0.12, corrected for 3 comparisons" in difference(told[0])


def test_preferences_lean_to_whom_is_preferred() -> None:
    [told] = of_preferences(Measure.REVIEW, {("a", "b"): {str(n): 1.0 if n % 5 else -0.5 for n in range(30)}}, {})
    assert difference(told).startswith("a is preferred by the reviewer to b: 70 points on 30 prompts (95 % interval +")


def test_a_judge_is_told_with_how_far_it_can_be_relied_on() -> None:
    fair = Judging("j", 40, 36, 0, Share(0.5, 0.4, 0.6, 80), Share(0.85, 0.7, 0.95, 20), None)
    biased = Judging("j", 40, 12, 2, Share(0.9, 0.8, 0.95, 80), None, None)
    assert judging(fair) == (
        "j, the judge, agreed with itself in both orders about 36 of 40 pairs; it said what the reviewer said about"
        " 85 % of 20"
    )
    mute = Judging("j", 3, 0, 3, None, None, None)
    assert judging(mute) == "j, the judge, gave no verdict that could be read about any of 3 pairs"
    assert judging(biased) == (
        "j, the judge, agreed with itself in both orders about 12 of 38 pairs; it prefers what it sees first (90 % of"
        " its preferences); about 2 it gave no verdict; do not rely on it"
    )


@pytest.mark.parametrize(("exact", "said"), [(7, 7), (99, 99), (101, 110), (984, 990), (12_345, 13_000)])
def test_how_many_it_would_take_is_said_with_two_digits(exact: int, said: int) -> None:
    assert rough(exact) == said


def figures(model: str, **more: Any) -> ModelFigures:
    given: dict[str, Any] = {
        "asked": 50, "answered": 50, "reused": 0, "targets": ("up/x",), "right": Share(0.5, 0.4, 0.6, 50),
        "preferred": {}, "first_content_ms": 120.0, "total_ms": 2345.6, "input_tokens": 1000, "output_tokens": None,
        "cost_pico": 1_500_000_000, "unknown_costs": 2, "errors": (),
    }  # fmt: skip
    return ModelFigures(model=model, **(given | more))


def compared(*differences: Difference, **more: Any) -> Comparison:
    given: dict[str, Any] = {
        "id": "01m831c7x4aqv08z64cyht7kfp", "title": "a, b on <p>.jsonl", "began_at": "2026-11-23T01:00:00+00:00",
        "prompts": 50, "tasks": (), "repeat": 1, "place": "this gateway", "models": (figures("a"), figures("b|c")),
        "best": (Best(None, 50, Measure.EXPECTED, None, ("a", "b|c")),), "judging": None, "reviewed": 0,
        "review_pending": 0, "remarks": (), "unfinished": None, "records": 100,
    }  # fmt: skip
    return Comparison(differences=differences, **(given | more))


def test_without_a_measure_of_quality_none_is_made_up() -> None:
    [said] = sentences(compared(best=()))
    assert said.startswith("nothing tells which answers are better: give prompts an expected answer")


def test_what_is_not_finished_or_failed_is_said_first() -> None:
    found = compared(passed(1, 0), models=(figures("a", answered=48, errors=("429 slow down",)),), unfinished="ceiling")
    assert sentences(found)[:3] == [
        "not finished: ceiling",
        "a failed in 2 of 50 requests: 429 slow down",
        "best over all: no difference shown on 50 prompts",
    ]


@pytest.mark.parametrize(
    ("best", "among", "said"),
    [
        ("b", ("b",), "best for extract: b, shown on 24 prompts"),
        (None, ("a", "b"), "best for extract: a or b, no difference between them shown on 24 prompts"),
        (None, ("a", "b", "c"), "best for extract: no difference shown on 24 prompts"),
    ],
)
def test_the_best_is_named_as_far_as_it_is_known(best: str | None, among: tuple[str, ...], said: str) -> None:
    assert best_of(Best("extract", 24, Measure.EXPECTED, best, among), 3) == said


def test_every_form_says_what_is_known_and_what_is_not() -> None:
    found = compared(passed(14, 2, both=30, neither=4))
    page = paper(found)
    for form in (as_text, as_markdown, as_html):
        text = form(page)
        for part in ("24 points on 50 prompts", "≥ $ 0.0015", "120 ms", "2.3 s", "–"):
            assert part in text, form
    assert "<p>.jsonl" not in as_html(page)
    assert as_html(page).count("<svg") == 3
    assert "b\\|c" in as_markdown(page)
    told = document(found)
    assert (told["models"][0]["cost"], told["currency"]) == ("0.0015", "USD")
    assert told["differences"][0]["verdict"] == "first"
    assert len(lines(found)) == 2


@pytest.mark.parametrize(
    ("told", "margin", "holds"),
    [
        (passed(14, 2, both=34), None, False),
        (passed(2, 14, both=34), None, True),
        (passed(6, 4, both=40), None, True),
        (passed(6, 4, both=40), 0.05, False),
        (passed(6, 4, both=40), 0.20, True),
        (passed(0, 0, both=50), 0.10, True),
    ],
)
def test_a_guard_holds_unless_the_other_is_shown_or_may_be_worse(
    told: Difference, margin: float | None, holds: bool
) -> None:
    assert (worse_than(compared(told), "a", margin) == []) is holds
