"""What the verbs of `gwctl compare` share: planning a run, telling what it found, and the guard for CI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from keyvault.errors import CheckFailed, NotFound, UsageError
from opsconsole.cli.files import written
from opsconsole.cli.output import Format
from opsconsole.cli.places import runs
from opsconsole.cli.session import Session

if TYPE_CHECKING:
    from keyvault.domain.routes import Revision
    from opsconsole.staging.comparison.plan import Plan
    from opsconsole.staging.comparison.prompts import Model
    from opsconsole.staging.costing import Costing
    from opsconsole.staging.runs import Run
    from opsconsole.view.comparison.report import Comparison

OWN = "own"
"""The gateway of this home, wherever it listens."""


def begun(session: Session, resume: str, source: str | None, models: str | None) -> Run:
    """The run that is gone on with. Raises `UsageError` where something else is asked for too."""
    if source is not None or models is not None:
        raise UsageError(
            "a comparison goes on with its own prompts and models", hint=f"gwctl compare --resume {resume}"
        )
    if session.dry_run:
        raise UsageError("what a comparison would cost is told before it begins", hint="leave --dry-run out")
    return runs(session).open("compare", resume)


def planned(
    session: Session,
    costing: Costing,
    source: str | None,
    models: str | None,
    repeat: int,
    judge: str | None,
    limit: int | None,
    url: str | None,
    max_tokens: int | None,
    *,
    stream: bool,
) -> Plan:
    """What a comparison sets out to do. Raises `UsageError`, `NotFound`."""
    from opsconsole.staging.comparison.plan import Plan
    from opsconsole.staging.comparison.prompts import Sending, check_models, left_out_text, usable
    from opsconsole.staging.sources import read_source

    if source is None or models is None:
        hint = "gwctl compare prompts.jsonl --models gpt-5-mini,openai/gpt-5"
        raise UsageError("a comparison needs prompts and models", hint=hint)
    names = check_models(models.split(","))
    prompts, left_out = usable(read_source(session.home, source), source, limit)
    path, routes = prompts[0].exchange.path, session.home.routes.current()
    return Plan(
        prompts=tuple(prompts),
        models=tuple(_model(costing, name, path, url, routes) for name in names),
        repeat=repeat,
        sending=Sending(stream, max_tokens),
        judge=None if judge is None else _model(costing, judge, "/chat/completions", url, routes),
        url=url,
        place=url or OWN,
        left_out=left_out_text(left_out),
    )


def _model(costing: Costing, name: str, path: str, url: str | None, routes: Revision) -> Model:
    """A model as it is asked for: an alias, a target, or what the default route takes. At another place a name is a
    name. Raises `NotFound`."""
    from opsconsole.staging.comparison.prompts import Model

    if url is not None:
        return Model(name, name)
    target = costing.target(name) if name not in [route.alias for route in routes.routes] else None
    if not costing.targets(path, target.model if target else name, target):
        raise NotFound(f"nobody serves {name[:70]!a}", hint="an alias of gwctl routes list, or UPSTREAM/MODEL")
    return Model(name, target.model, str(target)) if target else Model(name, name, revision=routes.number)


def guarded_by(plan: Plan, baseline: str | None, margin: float | None) -> None:
    """Raises `UsageError` for a guard that could never hold or break."""
    if baseline is None and margin is not None:
        raise UsageError("--margin says how much worse than what", hint="--fail-if-worse MODEL")
    if baseline is not None and baseline not in plan.names:
        raise UsageError(f"{baseline[:70]!a} is not compared", hint=f"one of {', '.join(plan.names)}")
    expects = any(prompt.expectation is not None for prompt in plan.prompts)
    if baseline is not None and not expects and plan.judge is None:
        raise UsageError("nothing tells which answers are worse", hint="give prompts `expected`, or --judge MODEL")


def finished(run: Run, stopped: str | None) -> Comparison:
    """What a run found, put on record."""
    from opsconsole.staging.comparison.findings import comparison

    found = comparison(run, stopped)
    run.finish(msgspec.to_builtins(found), verdict_of(found))
    return found


def shown(run: Run) -> Comparison:
    """What a run found, from its record where nothing has come to it since."""
    from opsconsole.view.comparison.report import Comparison

    kept = run.report
    if kept is not None and kept.get("records") == len(run.done()):
        return msgspec.convert(kept, Comparison)
    if kept is not None:
        return finished(run, kept["unfinished"])
    from opsconsole.staging.comparison.findings import comparison

    return comparison(run)


def verdict_of(found: Comparison) -> str:
    """A run's verdict as one word, or the best model."""
    if found.unfinished is not None:
        return "stopped"
    best = next((each.model for each in found.best if each.task is None and each.model), None)
    return f"best: {best}" if best else "no difference shown"


def print_comparison(session: Session, found: Comparison, form: Format, out: Path | None) -> None:
    text = _text(found, form)
    with written(session, out) as write:
        write(text)


def _text(found: Comparison, form: Format) -> str:
    from opsconsole.view import paper, sheet
    from opsconsole.view.comparison import forms

    if form is Format.NAME:
        return f"{found.id}\n"
    if form in (Format.JSON, Format.JSONL):
        return forms.as_json(forms.document(found))
    if form is Format.CSV:
        return sheet.lines(forms.lines(found), sheet.PLAIN)
    page = forms.paper(found)
    return {Format.MD: paper.as_markdown, Format.HTML: paper.as_html}.get(form, paper.as_text)(page)


def outcome(found: Comparison, baseline: str | None, margin: float | None) -> None:
    """Raises `CheckFailed` where nothing was answered, or another model is worse than the baseline by the weightiest
    measure of quality."""
    from opsconsole.view.comparison.guard import worse_than

    if found.models and not any(each.answered for each in found.models):
        error = next((each.errors[0] for each in found.models if each.errors), "nothing was asked")
        raise CheckFailed(f"nothing was answered: {error}", hint=f"gwctl compare --resume {found.id[-8:]}")
    if baseline is None:
        return
    if baseline not in [each.model for each in found.models]:
        raise UsageError(f"{baseline[:70]!a} is not compared", hint="gwctl compare show")
    why = worse_than(found, baseline, None if margin is None else margin / 100)
    if why:
        raise CheckFailed(f"worse than {baseline}: {why[0]}", hint=f"gwctl compare show {found.id[-8:]}")
