"""Routes as a file says them: `init`, `plan`, `apply`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keyvault.domain.names import counted
from keyvault.errors import CheckFailed, Conflict, UsageError
from opsconsole.cli.commands.routes.noun import added, note_unrouted, routes, show_changes, summary
from opsconsole.cli.files import read_text
from opsconsole.cli.output import Details
from opsconsole.cli.session import Session
from opsconsole.cli.unserved import as_it_is

File = Annotated[Path | None, typer.Option("-f", "--file", metavar="FILE", help="Such as routes.toml; - for stdin.")]
ExitCode = Annotated[bool, typer.Option("--exit-code", help="Exit with 7 where something would change.")]
NewFile = Annotated[Path, typer.Argument(metavar="[FILE]", help="Written if it does not exist; - for stdout.")]


@routes.verb("init", changes=True, examples="gwctl routes init\ngwctl routes init - | less")
def init(session: Session, file: NewFile = Path("routes.toml")) -> None:
    """Write a file with the routes that run, and everything a route can say as commented examples."""
    from keyvault.routing.example import example

    text = example(session.home.routes.current().routes, session.home.upstreams.list())
    if str(file) == "-":
        session.io.data(text)
        return
    if file.exists():
        raise Conflict(f"{file}: exists already", hint="name another file, or - for stdout")
    if not session.dry_run:
        _write(file, text)
    session.changed(f"wrote {file}; next: gwctl routes plan -f {file}")
    session.show(Details({"file": str(file), "written": not session.dry_run}, key="file"))


@routes.verb("plan", examples="gwctl routes plan -f routes.toml\ngwctl routes plan -f routes.toml --exit-code --json")
def plan(session: Session, file: File = None, exit_code: ExitCode = False) -> None:
    """Show what applying a file would change, and change nothing."""
    outcome = session.home.routes.plan(*_read(session, file, "plan"))
    show_changes(session, outcome.changes, revision=outcome.revision.number)
    note_unrouted(session, as_it_is(session.home), added(outcome.changes), in_file=True)
    if outcome.changes:
        if exit_code:
            raise CheckFailed(counted(len(outcome.changes), "difference"), hint=f"gwctl routes apply -f {file}")
        session.io.note(f"{summary(outcome.changes)}; to make it so: gwctl routes apply -f {file}")


@routes.verb(
    "apply", changes=True, examples="gwctl routes apply -f routes.toml\ngwctl routes apply -f routes.toml --dry-run"
)
def apply(session: Session, file: File = None) -> None:
    """Make the routes what a file says: one new revision, or none where nothing changes.

    The file says all routes: one it does not name ends. A file with an error in it changes nothing. Running proxies
    follow at their next request; requests under way end as they began.
    """
    served = as_it_is(session.home)
    outcome = session.home.routes.apply(*_read(session, file, "apply"))
    number, changed = outcome.revision.number, bool(outcome.changes)
    session.changed(f"revision {number}: {summary(outcome.changes)}" if changed else f"revision {number} says the same")
    note_unrouted(session, served, added(outcome.changes), in_file=True)
    show_changes(session, outcome.changes, revision=number, changed=changed and not session.dry_run)


def _write(file: Path, text: str) -> None:
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except OSError as error:
        raise UsageError(f"{file}: {(error.strerror or type(error).__name__).lower()}") from None


def _read(session: Session, file: Path | None, verb: str) -> tuple[str, str]:
    """The file's text, and how errors name it."""
    if file is None:
        raise UsageError("which file?", hint=f"gwctl routes {verb} -f routes.toml")
    return read_text(session, file), "stdin" if str(file) == "-" else str(file)
