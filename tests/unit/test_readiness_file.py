"""`staging.toml`: what it says, and the line of what is wrong with it; and how a readiness is told."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from keyvault.domain.drills import Fault
from keyvault.domain.routes import Target
from keyvault.errors import ConfigurationError, UsageError
from opsconsole.staging.readiness.document import read
from opsconsole.staging.readiness.example import example
from opsconsole.view.paper import as_html, as_markdown, as_text
from opsconsole.view.readiness.forms import lines, paper
from opsconsole.view.readiness.report import STEPS, Evidence, Overall, Readiness, Step, Verdict


def test_what_is_left_out_is_as_usual_and_a_section_is_a_step() -> None:
    plan = read('[drill]\n[rollout]\nto = "groq/llama"\npercent = 2.5\n[keys]\nwithin = "2s"', "staging.toml")
    assert plan.steps() == ["drill", "keys", "rollout"]
    assert plan.drill is not None
    assert plan.drill.faults == (Fault.REFUSE, Fault.LIMITED, Fault.SERVER)
    assert plan.rollout is not None
    assert (plan.rollout.to, plan.rollout.percent_ppm) == (Target("groq", "llama"), 25_000)
    assert plan.keys is not None
    assert plan.keys.within == timedelta(seconds=2)
    with pytest.raises(UsageError, match="says nothing of check"):
        plan.steps(("check",))


def test_the_example_is_a_file_and_so_is_everything_it_offers() -> None:
    text = example("gpt-5 mini")
    assert read(text, "staging.toml").steps() == ["check", "drill", "quota", "spend", "keys"]
    whole = read(re.sub(r"(?m)^#(?! |$)", "", text), "staging.toml")
    assert (whole.steps(), whole.alias.name) == (list(STEPS), "gpt-5 mini")
    assert whole.replay is not None
    assert whole.replay.direct is not None
    assert whole.replay.max_cost_pico == 2 * 10**12


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[chek]", "staging.toml:1: chek: no such section"),
        ("[drill]\nfault = '500'", "staging.toml:2: drill.fault: no such field"),
        ("[drill]\nfaults = ['flood']", "staging.toml:2: drill.faults: no such fault"),
        ("[drill]\nfaults = []", "staging.toml:2: drill.faults: expected a list of faults"),
        ("[drill]\nrequests = 0", "staging.toml:2: drill.requests: expected a whole number from 1 to 200"),
        ("[drill]\nfor = '2h'", "staging.toml:2: drill.for: a drill lasts"),
        ("[replay]\nlimit = 5", "staging.toml:1: replay: file is missing"),
        ("[replay]\nfile = 'a'\nmax_cost = true", "staging.toml:3: replay.max_cost: expected an amount"),
        ("[replay]\nfile = 'a'\n[replay.direct]\nkey_file = 'k'", "staging.toml:3: replay.direct: url is missing"),
        ("[replay]\nfile = ''", "staging.toml:2: replay.file: expected a text"),
        ("[compare]\nprompts = 'p'\nmodels = 'm'", "staging.toml:3: compare.models: expected a list of texts"),
        ("[compare]\nprompts = 'p'\nmodels = []\nmargin = 200", "staging.toml:4: compare.margin: expected a number"),
        ("[rollout]\nto = 'nowhere'", "staging.toml:2: rollout.to"),
        ("[rollout]\nto = 'a/b'\npercent = 0", "staging.toml:3: rollout.percent: not a percentage"),
        ("[rollout]\nto = 'a/b'\nguards = ['nice']", "staging.toml:3: rollout.guards: not a guard"),
        ("[keys]\nwithin = 5", "staging.toml:2: keys.within: expected a text"),
        ("[check]\nclient = 'curl'", "staging.toml:2: check.client: no such client"),
        ("[alias]\ndialect = 'embeddings'", "staging.toml:2: alias.dialect: not a dialect"),
        ("keys = 1", "staging.toml:1: keys: expected a table"),
        ("[keys", "staging.toml:1:"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read(text, "staging.toml")
    assert str(raised.value).startswith(said)


def _told(*verdicts: Verdict, unfinished: bool = False) -> Readiness:
    steps = [
        Step(name, verdict, "so <it> is", (Evidence("a|b", verdict is Verdict.PASSED, "=1"),))
        for name, verdict in zip(STEPS, verdicts, strict=False)
    ]
    return Readiness("7k3f9q", "fast", "/staging.toml", "2026-11-23T02:00:00+00:00", tuple(steps), unfinished)


@pytest.mark.parametrize(
    ("verdicts", "overall"),
    [
        ([Verdict.PASSED, Verdict.PASSED], Overall.READY),
        ([Verdict.PASSED, Verdict.NOT_RUN], Overall.SO_FAR),
        ([Verdict.NOT_RUN], Overall.NOT_READY),
        ([Verdict.PASSED, Verdict.FAILED], Overall.NOT_READY),
        ([Verdict.PASSED, Verdict.NOT_TRIED], Overall.NOT_READY),
    ],
)
def test_one_step_that_does_not_pass_is_not_ready(verdicts: list[Verdict], overall: Overall) -> None:
    assert _told(*verdicts).overall is overall
    assert _told(*verdicts, unfinished=True).overall is Overall.NOT_READY


def test_it_is_told_as_a_page_in_every_form() -> None:
    found = _told(Verdict.PASSED, Verdict.FAILED, Verdict.NOT_TRIED, Verdict.NOT_RUN)
    assert as_text(paper(found)).splitlines()[:13] == [
        "Readiness of fast",
        "",
        "verdict  not ready",
        "alias    fast",
        "run      7k3f9q",
        "began    2026-11-23T02:00:00+00:00",
        "file     /staging.toml",
        "",
        "- fast is not ready; failed: replay; could not be tried: compare; not run: drill",
        "- replay: a|b: =1",
        "- compare: a|b: =1",
        "- drill: a|b: =1",
        "- compare could not be tried, so <it> is",
    ]
    assert "| 1 | check | behaves like the API behind it | passed |" in as_markdown(paper(found))
    page = as_html(paper(found))
    assert "so &lt;it&gt; is" in page
    assert "<script" not in page
    assert lines(found)[1] == [1, "check", "passed", "so <it> is"]
