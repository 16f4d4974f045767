"""`gwctl compare PROMPTS --models a,b`: the same prompts to several models, and what the differences are worth."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from keyvault.errors import CheckFailed, GatewayError, UsageError
from keyvault.money import CURRENCY
from opsconsole.cli.comparisons import outcome, print_comparison
from opsconsole.cli.files import OutFile, check_new
from opsconsole.cli.grammar import with_usual_verb
from opsconsole.cli.output import Column, Details, Format, Listing, Row
from opsconsole.cli.places import Concurrency, KeyFile, KeyStdin, MaxCost, Url, asked_place, most_cost, runs
from opsconsole.cli.session import Session
from opsconsole.cli.text import amount
from opsconsole.cli.verbs import Noun

if TYPE_CHECKING:
    from opsconsole.staging.asking import Place
    from opsconsole.staging.comparison.collecting import Pace
    from opsconsole.staging.comparison.comparing import Comparing
    from opsconsole.staging.comparison.comparisons import Comparisons
    from opsconsole.staging.comparison.plan import Plan
    from opsconsole.staging.runs import Run

compare = Noun(
    "compare",
    "The same prompts to several models: which is better, faster, cheaper, and whether that can be told.",
    examples="""
    gwctl compare prompts.jsonl --models gpt-5-mini,openai/gpt-5 --dry-run
    gwctl compare prompts.jsonl --models gpt-5-mini,openai/gpt-5 --max-cost 2usd
    gwctl compare show
    """,
    group=with_usual_verb("run"),
)
app = compare

DOCUMENTS = (Format.MD, Format.HTML)
RunId = Annotated[
    str | None, typer.Argument(metavar="ID", help="A comparison, or the end of its id; the newest if not given.")
]
Guard = Annotated[
    str | None,
    typer.Option("--fail-if-worse", metavar="MODEL", help="Exit 7 where another model is shown to be worse than it."),
]
Margin = Annotated[
    float | None,
    typer.Option(
        "--margin",
        metavar="POINTS",
        min=0,
        max=100,
        help="With --fail-if-worse: also where it may be worse by more than so many points.",
    ),
]


@compare.verb(
    "run",
    changes=True,
    also=DOCUMENTS,
    examples="""
    gwctl compare run prompts.jsonl --models gpt-5-mini,openai/gpt-5 --dry-run
    gwctl compare prompts.jsonl --models a,b,c --repeat 3 --max-cost 2usd
    gwctl compare capture:3 --models a,b --judge judge-model --limit 50
    gwctl compare prompts.jsonl --models old,new --fail-if-worse old --margin 5
    gwctl compare --resume 7k3f9q
    """,
)
def run(
    session: Session,
    source: Annotated[
        str | None, typer.Argument(metavar="FILE|capture:ID", help="20 to 50 real prompts; - for stdin.")
    ] = None,
    models: Annotated[
        str | None, typer.Option("--models", metavar="NAME,NAME", help="Aliases, or targets UPSTREAM/MODEL.")
    ] = None,
    repeat: Annotated[
        int, typer.Option("--repeat", metavar="COUNT", min=1, max=50, help="Ask each so often; the mean counts.")
    ] = 1,
    judge: Annotated[
        str | None, typer.Option("--judge", metavar="NAME", help="A model that judges each two answers, both ways.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", metavar="COUNT", min=1, help="The first so many.")] = None,
    concurrency: Concurrency = 4,
    rate: Annotated[float | None, typer.Option("--rate", metavar="COUNT", min=0.001, help="Begun each second.")] = None,
    max_cost: MaxCost = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", metavar="COUNT", min=1, help="The cap of prompts that have none.")
    ] = None,
    no_stream: Annotated[
        bool, typer.Option("--no-stream", help="Ask for whole answers where a prompt does not say.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Take over no answers of earlier comparisons.")] = False,
    fail_if_worse: Guard = None,
    margin: Margin = None,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="ID", help="Go on with a comparison that was interrupted.")
    ] = None,
    url: Url = None,
    key_file: KeyFile = None,
    key_stdin: KeyStdin = False,
    out: OutFile = None,
) -> None:
    """Put each prompt to each model, grade what they say, and tell which differences the prompts can show.

    Prompts are lines of JSON: {"prompt": …} or a request body, with `task` and `expected` beside it where one wants;
    also captures, batches and request logs. Without --url they go through the gateway that runs here, with a temporary
    key of environment `test`; they are real requests and cost real money. An answer that an earlier comparison brought
    to the same request is taken over.
    """
    from opsconsole.staging.comparison.collecting import Pace
    from opsconsole.staging.comparison.comparisons import Comparisons, Wanted, check_guard, finished

    if out is not None:
        check_new(session, out)
    comparisons, ceiling = Comparisons(session.home), most_cost(max_cost)
    if resume is not None:
        work = _begun(comparisons, resume, source, models)
        plan = comparisons.comparing(work).plan
    else:
        if source is None or models is None:
            raise UsageError("a comparison needs prompts and models", hint="gwctl compare FILE --models NAME,NAME")
        names, stream = tuple(models.split(",")), not no_stream
        plan = comparisons.plan(
            Wanted(source, names, repeat, judge, limit, url, stream, max_tokens, bounded=ceiling is not None)
        )
    comparisons.check_ceiling(plan, ceiling)
    check_guard(plan, fail_if_worse, margin)
    if session.dry_run:
        _estimate(session, comparisons, plan, fresh=fresh)
        return
    if resume is None:
        work = comparisons.begin(plan, source or "")
    lent = partial(asked_place, session, "compare", plan.url, key_file, key_stdin)
    try:
        comparing = comparisons.comparing(work, fresh=fresh)
        whole = _asked(session, comparisons, comparing, lent, Pace(concurrency, rate), ceiling)
    except GatewayError:
        if resume is None and not work.done():  # nothing was asked
            work.delete()
        raise
    found = finished(work, None if whole else "the cost ceiling is reached")
    print_comparison(session, found, out)
    if not whole:
        more = f"gwctl compare --resume {work.id[-8:]} --max-cost USD"
        raise CheckFailed("the cost ceiling was reached before all answers were there", hint=more)
    outcome(found, fail_if_worse, margin)


@compare.verb(
    "show",
    also=DOCUMENTS,
    examples="""
    gwctl compare show
    gwctl compare show 7k3f9q --out comparison.html
    gwctl compare show 7k3f9q --fail-if-worse old
    """,
)
def show(
    session: Session, run_id: RunId = None, fail_if_worse: Guard = None, margin: Margin = None, out: OutFile = None
) -> None:
    """What a comparison found, as far as it has come. With --out the file's name decides the form."""
    from opsconsole.staging.comparison.comparisons import Comparisons, looked_at

    found = looked_at(Comparisons(session.home).open(run_id))
    print_comparison(session, found, out)
    outcome(found, fail_if_worse, margin)


@compare.verb("list", examples="gwctl compare list")
def list_(session: Session) -> None:
    """Comparisons of this home, the newest first."""
    rows: list[Row] = [
        {
            "id": each.id,
            "title": each.title,
            "began_at": each.began_at,
            "ended_at": each.ended_at,
            "records": each.items,
            "verdict": each.verdict or "not done",
        }
        for each in runs(session).summaries("compare")
    ]
    columns = (Column("id"), Column("title"), Column("began_at", "BEGAN"), Column("records"), Column("verdict"))
    session.show(Listing("comparisons", rows, columns, key="id"))


@compare.verb(
    "review",
    examples="""
    gwctl compare review
    gwctl compare review 7k3f9q
    """,
)
def review(session: Session, run_id: RunId = None) -> None:
    """Choose between two answers at a time, without seeing whose they are: 1 the first, 2 the second, = equal.

    u takes the last choice back; what was chosen is kept, and the next time goes on where this one ended. On a terminal
    the console shows the answers side by side, and what came of it when you leave them with esc; from a pipe one choice
    is read a line, and q ends.
    """
    from opsconsole.cli.reviewing import reviewed, reviewed_in_console
    from opsconsole.staging.comparison.comparisons import Comparisons, shown

    work = Comparisons(session.home).open(run_id)
    made = reviewed_in_console(session, work) if session.io.can_ask else reviewed(session.io, work)
    found = shown(work)
    session.changed(f"{made} decided now, {found.review_pending} pending; what came of it: gwctl compare show")
    session.show(Details({"id": found.id, "reviewed": found.reviewed, "pending": found.review_pending}, key="id"))


@compare.verb("delete", changes=True, examples="gwctl compare delete 7k3f9q --yes")
def delete(
    session: Session, run_id: Annotated[str, typer.Argument(metavar="ID", help="A comparison, or the end of its id.")]
) -> None:
    """Remove what a comparison kept, prompts and answers. The ledger keeps its requests."""
    work = runs(session).open("compare", run_id)
    session.confirm(f"Delete comparison {work.id} of {work.title}?")
    if not session.dry_run:
        work.delete()
    session.changed(f"deleted comparison {work.id}")


def _begun(comparisons: Comparisons, resume: str, source: str | None, models: str | None) -> Run:
    """The run that is gone on with. Raises `UsageError` where something else is asked for too."""
    if source is not None or models is not None:
        hint = f"gwctl compare --resume {resume}"
        raise UsageError("a comparison goes on with its own prompts and models", hint=hint)
    return comparisons.open(resume)


def _asked(
    session: Session,
    comparisons: Comparisons,
    comparing: Comparing,
    lent: Callable[[timedelta], AbstractContextManager[tuple[Place, bool]]],
    pace: Pace,
    ceiling: int | None,
) -> bool:
    """Ask what is left, of a place that is lent for so long; False: the ceiling was in the way."""
    from opsconsole.staging.comparison.collecting import Bill

    if not comparing.left():
        return True
    try:
        with lent(comparing.lasts(pace)) as (place, own):
            bill = Bill(comparisons.costing, own)
            return asyncio.run(comparing.go_to(place, bill, pace, ceiling, session.io.progress))
    except KeyboardInterrupt:
        session.io.note(f"interrupted; go on with: gwctl compare --resume {comparing.run.id[-8:]}")
        raise
    finally:
        comparing.run.release()


def _estimate(session: Session, comparisons: Comparisons, plan: Plan, *, fresh: bool) -> None:
    """What would be asked, and what it would cost."""
    rows: list[Row] = [
        {
            "model": each.model,
            "requests": each.requests,
            "reused": each.reused,
            "expected_cost": amount(each.pico),
            "at_most": amount(each.bound_pico),
        }
        for each in comparisons.estimates(plan, fresh=fresh)
    ]
    columns = [Column(name) for name in ("model", "requests", "reused", "expected_cost", "at_most")]
    if plan.judge is not None:
        session.io.note(f"and up to {plan.most_judgements} requests to {plan.judge.name}, the judge, not counted here")
    session.show(Listing("estimates", rows, columns, key="model", extra={"currency": CURRENCY}))
