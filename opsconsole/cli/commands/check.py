"""`gwctl check`: does a gateway behave like the API behind it?"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from keyvault.errors import Exit, GatewayError, NotFound, UsageError
from opsconsole.cli.files import OutFile, check_new, form_of, written
from opsconsole.cli.grammar import with_usual_verb
from opsconsole.cli.output import PIPE, Column, Format, Listing, Row, render
from opsconsole.cli.places import KeyFile, KeyStdin, Url, asked_place, runs
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import Noun

if TYPE_CHECKING:
    from opsconsole.staging.asking import Place
    from opsconsole.staging.checking.checking import Wanted
    from opsconsole.staging.checking.probes import Probe
    from opsconsole.staging.runs import Run
    from opsconsole.view.checking.report import CheckReport, Result

_COLUMNS: Final = [
    Column("probe"),
    Column("verdict"),
    Column("ms"),
    Column("direct_ms"),
    Column("difference", absent=""),
]
_VERDICTS: Final = {True: "passed", False: "failed"}
_FORMS: Final = (Format.JUNIT, Format.MD)


class Client(StrEnum):
    """Values of `--client`."""

    SDK = "sdk"
    HTTPX = "httpx"


def _named(name: str, text: str) -> typer.models.OptionInfo:
    info: typer.models.OptionInfo = typer.Option(name, metavar="MODEL", help=text)
    return info


check = Noun(
    "check",
    "Whether a gateway behaves like the API behind it.",
    examples="""
    gwctl check
    gwctl check --model fast --direct https://api.openai.com/v1 --direct-key-file openai.key --direct-model gpt-5-nano
    gwctl check https://gateway.example/v1 --key-file ci.key --junit check.xml
    """,
    group=with_usual_verb("run", alone=True),
)
app = check

Gateway = Annotated[str | None, typer.Argument(metavar="URL", help="Of any gateway; this home's by default.")]
RunId = Annotated[
    str | None, typer.Argument(metavar="ID", help="A check, or the end of its id; the newest if not given.")
]
Direct = Annotated[str | None, typer.Option("--direct", metavar="URL", help="The API behind it, to compare with.")]
DirectKeyFile = Annotated[Path | None, typer.Option("--direct-key-file", metavar="FILE", help="The key of that API.")]
Only = Annotated[list[str] | None, typer.Option("--only", metavar="PATTERN", help="Probes such as 'chat-*'.")]
Ignore = Annotated[
    list[str] | None, typer.Option("--ignore", metavar="PATTERN", help="Differences that count for nothing.")
]
WithClient = Annotated[Client | None, typer.Option("--client", help="By default the official SDKs, where installed.")]
Timeout = Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=1, max=3600, help="For each answer.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Every difference, also those that are allowed.")]
JUnit = Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Also as JUnit XML, into a new file.")]


@check.verb(
    "run",
    also=_FORMS,
    examples="""
    gwctl check run
    gwctl check --direct https://api.openai.com/v1 --direct-key-file openai.key --model gpt-5-nano
    gwctl check https://gateway.example/v1 --key-file ci.key --junit check.xml
    """,
)
def run(
    session: Session,
    gateway: Gateway = None,
    url: Url = None,
    key_file: KeyFile = None,
    key_stdin: KeyStdin = False,
    direct: Direct = None,
    direct_key_file: DirectKeyFile = None,
    model: Annotated[str | None, _named("--model", "Which model to ask; the first listed by default.")] = None,
    embedding_model: Annotated[str | None, _named("--embedding-model", "For embeddings.")] = None,
    messages_model: Annotated[str | None, _named("--messages-model", "For messages; --model by default.")] = None,
    direct_model: Annotated[str | None, _named("--direct-model", "What that API calls the model.")] = None,
    only: Only = None,
    ignore: Ignore = None,
    client: WithClient = None,
    timeout: Timeout = 60.0,
    verbose: Verbose = False,
    junit: JUnit = None,
    out: OutFile = None,
) -> None:
    """Ask a gateway all that applications ask, and say what is not as it should be.

    With --direct each probe is asked there too, and what differs is shown; without it each answer is held against what
    clients of the API need. Exit 7 if anything differs.
    """
    from opsconsole.staging.checking.checking import Wanted
    from opsconsole.staging.checking.finding_out import Named

    _sensible(gateway, url, direct, direct_key_file, direct_model)
    for file in filter(None, (out, junit)):
        check_new(session, file)
    wanted = Wanted(
        named=Named(model, embedding_model, messages_model),
        direct_named=Named(direct_model),
        probes=_chosen(only),
        ignored=tuple(ignore or ()),
        sdk=_with_sdk(client),
        timeout=timeout,
    )
    beside = None if direct is None else _place(session, direct, direct_key_file)
    with _gateway(session, gateway or url, key_file, key_stdin) as place:
        report = _checked(session, place, beside, wanted)
    _tell(session, report, verbose=verbose, junit=junit, out=out)
    if not report.ok:
        raise typer.Exit(Exit.CHECK_FAILED)


@check.verb("list", examples="gwctl check list")
def list_(session: Session) -> None:
    """Checks of this home, the newest first."""
    rows: list[Row] = [
        {
            "id": each.id,
            "asked": each.title,
            "began_at": each.began_at,
            "ended_at": each.ended_at,
            "probes": each.items,
            "verdict": each.verdict or "not done",
        }
        for each in runs(session).summaries("check")
    ]
    columns = (Column("id"), Column("asked"), Column("began_at", "BEGAN"), Column("probes"), Column("verdict"))
    session.show(Listing("checks", rows, columns, key="id"))


@check.verb("show", also=_FORMS, examples="gwctl check show\ngwctl check show 7k3f9q --out check.md")
def show(session: Session, run_id: RunId = None, verbose: Verbose = False, out: OutFile = None) -> None:
    """What a check found."""
    from opsconsole.view.checking.report import CheckReport

    kept = runs(session)
    work = kept.newest("check") if run_id is None else kept.open("check", run_id)
    if work is None or work.report is None:
        raise NotFound(
            "nothing was checked to its end" if work is None else f"check {work.id} did not come to its end",
            hint="gwctl check",
        )
    _tell(session, CheckReport.of_json(work.report), verbose=verbose, junit=None, out=out)


@check.verb("delete", changes=True, examples="gwctl check delete 7k3f9q --yes")
def delete(
    session: Session, run_id: Annotated[str, typer.Argument(metavar="ID", help="A check, or the end of its id.")]
) -> None:
    """Remove the report of a check. The ledger keeps its requests."""
    work = runs(session).open("check", run_id)
    session.confirm(f"Delete check {work.id} of {work.title}?")
    if not session.dry_run:
        work.delete()
    session.changed(f"deleted check {work.id}")


def _sensible(
    gateway: str | None, url: str | None, direct: str | None, direct_key_file: Path | None, direct_model: str | None
) -> None:
    """Raises `UsageError` for an option that means nothing without another."""
    if gateway is not None and url is not None:
        raise UsageError("the gateway is named twice", hint=f"gwctl check --url {url}")
    if direct is None and (direct_key_file is not None or direct_model is not None):
        raise UsageError("--direct-key-file and --direct-model need --direct", hint="--direct URL")


def _chosen(only: Sequence[str] | None) -> Sequence[Probe]:
    from fnmatch import fnmatchcase

    from opsconsole.staging.checking.table import PROBES

    found = [probe for probe in PROBES if not only or any(fnmatchcase(probe.id, pattern) for pattern in only)]
    if not found:
        raise UsageError(f"no probe goes by {', '.join(only or ())}", hint="--only 'chat*'")
    return found


def _with_sdk(client: Client | None) -> bool:
    from opsconsole.staging.checking.sdks import installed

    if client is Client.SDK and not installed():
        raise UsageError("the official SDKs are not installed", hint="pip install 'opsconsole[sdk]'")
    return installed() if client is None else client is Client.SDK


def _place(session: Session, url: str, key_file: Path | None) -> Place:
    from opsconsole.staging.asking import Place

    return Place.at(url, None if key_file is None else session.io.secret_from_file(key_file))


@contextlib.contextmanager
def _gateway(session: Session, url: str | None, key_file: Path | None, key_stdin: bool) -> Iterator[Place]:
    """The place to check: this home's with a key that lives as long as the check, or another, which may need none."""
    if url is not None and key_file is None and not key_stdin:
        yield _place(session, url, None)
        return
    with asked_place(session, "check", url, key_file, key_stdin) as (place, _):
        yield place


def _checked(session: Session, place: Place, direct: Place | None, wanted: Wanted) -> CheckReport:
    from opsconsole.staging.checking.checking import check

    with _kept(session, place, direct) as run:
        count = 0
        progress = session.io.progress("probes")

        def told(result: Result) -> None:
            nonlocal count
            count += 1
            progress(count, len(wanted.probes))
            if run is not None:
                run.add(result.id, result.to_json())

        report = asyncio.run(check(place, direct, wanted, told))
        if run is not None:
            run.finish(report.to_json(), _VERDICTS[report.ok])
    return report


@contextlib.contextmanager
def _kept(session: Session, place: Place, direct: Place | None) -> Iterator[Run | None]:
    """Where the check is kept, for the console; nowhere on a machine without a gateway."""
    home = session.unopened_home
    if not home.exists:
        yield None
        return
    from opsconsole.staging.runs import Runs

    beside = "" if direct is None else f" beside {direct.base_url}"
    plan = {"url": place.base_url, "direct_url": None if direct is None else direct.base_url}
    run = Runs(home.paths.state, home.clock).begin("check", f"{place.base_url}{beside}", plan)
    try:
        yield run
    except GatewayError:  # nothing was probed
        run.delete()
        raise


def _tell(session: Session, report: CheckReport, *, verbose: bool, junit: Path | None, out: Path | None) -> None:
    from opsconsole.view.checking import rows
    from opsconsole.view.checking.junit import as_junit

    form = form_of(session, out)
    with written(session, out) as write:
        write(_text(session, report, form, on_stdout=out is None))
    if junit is not None:
        with written(session, junit) as write:
            write(as_junit(report))
    if form in (Format.TABLE, Format.CSV, Format.NAME):
        for text in rows.details(report) if verbose else ():
            session.io.note(text)
        session.io.note(f"{report.summary}; asked {report.url} with {', '.join(report.clients)}")


def _text(session: Session, report: CheckReport, form: Format, *, on_stdout: bool) -> str:
    from opsconsole.view.checking import junit, markdown, rows

    forms: dict[Format, Callable[[CheckReport], str]] = {
        Format.MD: markdown.as_markdown,
        Format.JUNIT: junit.as_junit,
    }
    if form in forms:
        return forms[form](report)
    whole = {name: value for name, value in report.to_json().items() if name != "results"}
    results = [result.to_json() for result in report.results]
    if form in (Format.TABLE, Format.CSV, Format.NAME):
        results = [rows.row(result) for result in report.results]
    look = session.look() if on_stdout else PIPE
    return render(Listing("results", results, _COLUMNS, key="probe", extra=whole), form, look)
