"""`gwctl readiness ALIAS -f staging.toml`: is it ready for production?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keyvault.errors import CheckFailed, Conflict, NotFound, UsageError
from keyvault.files import asked_for
from keyvault.money import CURRENCY
from opsconsole.cli.completion import names_of
from opsconsole.cli.files import OutFile, check_new, form_of, read_text, written
from opsconsole.cli.grammar import with_usual_verb
from opsconsole.cli.output import Column, Details, Format, Listing, Row
from opsconsole.cli.places import runs
from opsconsole.cli.session import Session
from opsconsole.cli.text import amount
from opsconsole.cli.verbs import Noun

if TYPE_CHECKING:
    from opsconsole.staging.readiness.running import Asked, Readying
    from opsconsole.staging.runs import Run
    from opsconsole.view.readiness.report import Readiness

readiness = Noun(
    "readiness",
    "Whether an alias is ready for production: six steps, as a file says, and one verdict.",
    examples="""
    gwctl readiness init
    gwctl readiness fast -f staging.toml --dry-run
    gwctl readiness fast -f staging.toml --out readiness.html
    """,
    group=with_usual_verb("run"),
)
app = readiness

DOCUMENTS = (Format.MD, Format.HTML)
NewFile = Annotated[Path, typer.Argument(metavar="[FILE]", help="Written if it does not exist; - for stdout.")]
File = Annotated[Path | None, typer.Option("-f", "--file", metavar="FILE", help="Such as staging.toml; - for stdin.")]
RunId = Annotated[
    str | None, typer.Argument(metavar="ID", help="A readiness, or the end of its id; the newest if not given.")
]


@readiness.verb("init", changes=True, examples="gwctl readiness init\ngwctl readiness init - | less")
def init(
    session: Session,
    file: NewFile = Path("staging.toml"),
    alias: Annotated[
        str | None,
        typer.Option("--alias", metavar="ALIAS", help="Which it is about.", autocompletion=names_of("aliases")),
    ] = None,
) -> None:
    """Write a file with every step and all it can be told, as commented examples."""
    from keyvault.domain.routes import is_pattern
    from opsconsole.staging.readiness.example import example

    aliases = [route.alias for route in session.home.routes.current().routes if not is_pattern(route.alias)]
    text = example(alias or next(iter(aliases), None))
    if str(file) == "-":
        session.io.data(text)
        return
    if file.exists():
        raise Conflict(f"{file}: exists already", hint="name another file, or - for stdout")
    if not session.dry_run:
        with asked_for(file) as new:
            new.write(text.encode())
    session.changed(f"wrote {file}; next: gwctl readiness run -f {file} --dry-run")
    session.show(Details({"file": str(file), "written": not session.dry_run}, key="file"))


@readiness.verb(
    "run",
    changes=True,
    also=DOCUMENTS,
    examples="""
    gwctl readiness run fast -f staging.toml --dry-run
    gwctl readiness fast -f staging.toml
    gwctl readiness fast -f staging.toml --only check,drill
    gwctl readiness fast -f staging.toml --out readiness.html
    gwctl readiness --resume 7k3f9q
    """,
)
def run(
    session: Session,
    alias: Annotated[
        str | None,
        typer.Argument(metavar="ALIAS", help="If the file does not name it.", autocompletion=names_of("aliases")),
    ] = None,
    file: File = None,
    only: Annotated[
        str | None, typer.Option("--only", metavar="STEPS", help="Of the file's steps, such as check,drill.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="ID", help="Go on with a readiness that was interrupted.")
    ] = None,
    out: OutFile = None,
) -> None:
    """Run the steps of a file for an alias, through the gateway that runs here, and give one verdict with its evidence.

    The steps are check, replay, compare, drill, quota, spend, keys and rollout; a section of the file is a step. Their
    requests are real and cost a little; keys, projects and aliases are made for them and removed. Nobody else's traffic
    is touched. Exits with 7 where it is not ready. A step that nobody asked for is not run, and the verdict says so.
    """
    if out is not None:
        check_new(session, out)
    readying = _readying(session)
    if resume is not None:
        if alias is not None or file is not None or only is not None or session.dry_run:
            raise UsageError("a readiness goes on as it began", hint=f"gwctl readiness --resume {resume}")
        work = readying.runs.open("readiness", resume)
    else:
        wanted = _asked(session, alias, file, only)
        if session.dry_run:
            _estimate(session, readying, wanted)
            return
        work = readying.begin(wanted)
    try:
        found = readying.go(work)
    except KeyboardInterrupt:
        work.release()
        session.io.note(f"interrupted; go on with: gwctl readiness --resume {work.id[-8:]}")
        raise
    _print(session, found, out)
    _judge(found)


@readiness.verb(
    "show",
    also=DOCUMENTS,
    examples="""
    gwctl readiness show
    gwctl readiness show 7k3f9q --out readiness.html
    """,
)
def show(session: Session, run_id: RunId = None, out: OutFile = None) -> None:
    """What a readiness found, as far as it has come. With --out the file's name decides the form."""
    from opsconsole.staging.readiness.running import readiness as found

    _print(session, found(_opened(session, run_id)), out)


@readiness.verb("list", examples="gwctl readiness list")
def list_(session: Session) -> None:
    """Readinesses of this home, the newest first."""
    rows: list[Row] = [
        {
            "id": each.id,
            "alias": each.title,
            "began_at": each.began_at,
            "ended_at": each.ended_at,
            "verdict": each.verdict or "not done",
        }
        for each in runs(session).summaries("readiness")
    ]
    columns = (Column("id"), Column("alias"), Column("began_at", "BEGAN"), Column("verdict"))
    session.show(Listing("readinesses", rows, columns, key="id"))


@readiness.verb("delete", changes=True, examples="gwctl readiness delete 7k3f9q --yes")
def delete(
    session: Session, run_id: Annotated[str, typer.Argument(metavar="ID", help="A readiness, or the end of its id.")]
) -> None:
    """Remove what a readiness kept, its replays and comparisons with it. The ledger keeps its requests."""
    readying = _readying(session)
    work = readying.runs.open("readiness", run_id)
    session.confirm(f"Delete readiness {work.id} of {work.title}?")
    if not session.dry_run:
        readying.delete(work)
    session.changed(f"deleted readiness {work.id}")


def _readying(session: Session) -> Readying:
    from opsconsole.staging.readiness.running import Readying

    return Readying(session.home, session.io.secret_from_file, session.io.progress)


def _asked(session: Session, alias: str | None, file: Path | None, only: str | None) -> Asked:
    from opsconsole.staging.readiness.running import asked

    if file is None:
        raise UsageError("which file?", hint="gwctl readiness ALIAS -f staging.toml; gwctl readiness init writes one")
    named = tuple(name.strip() for name in (only or "").split(",") if name.strip())
    return asked(alias, file, read_text(session, file), named)


def _opened(session: Session, run_id: str | None) -> Run:
    found = runs(session).newest("readiness") if run_id is None else runs(session).open("readiness", run_id)
    if found is None:
        raise NotFound("no readiness was run yet", hint="gwctl readiness ALIAS -f staging.toml")
    return found


def _estimate(session: Session, readying: Readying, wanted: Asked) -> None:
    rows: list[Row] = [
        {
            "step": each.step,
            "what": each.what if each.error is None else f"could not be tried, because {each.error}",
            "expected_cost": amount(each.pico),
            "possible": each.error is None,
        }
        for each in readying.foresee(wanted)
    ]
    columns = (Column("step"), Column("what"), Column("expected_cost"))
    session.show(Listing("steps", rows, columns, key="step", extra={"alias": wanted.alias, "currency": CURRENCY}))


def _print(session: Session, found: Readiness, out: Path | None) -> None:
    text = _text(found, form_of(session, out))
    with written(session, out) as write:
        write(text)


def _text(found: Readiness, form: Format) -> str:
    from opsconsole.view import paper, sheet
    from opsconsole.view.readiness import forms

    if form is Format.NAME:
        return f"{found.id}\n"
    if form in (Format.JSON, Format.JSONL):
        return forms.as_json(found)
    if form is Format.CSV:
        return sheet.lines(forms.lines(found), sheet.PLAIN)
    page = forms.paper(found)
    return {Format.MD: paper.as_markdown, Format.HTML: paper.as_html}.get(form, paper.as_text)(page)


def _judge(found: Readiness) -> None:
    """Raises `CheckFailed` where it is not ready."""
    from opsconsole.view.readiness.report import Overall

    if found.overall is Overall.NOT_READY:
        raise CheckFailed(found.sentence, hint=f"gwctl readiness show {found.id[-8:]}")
