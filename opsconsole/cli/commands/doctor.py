"""`gwctl doctor`: checks everything that can be wrong."""

from __future__ import annotations

from typing import Annotated

import typer

from keyvault.errors import Exit
from opsconsole.cli.output import Column, Format, Listing, Row
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import single

_MARKS = {
    "ok": ("ok", "green"),
    "warning": ("warning", "yellow"),
    "skipped": ("skipped", "dim"),
    "failed": ("FAILED", "red"),
}


@single("doctor", examples="gwctl doctor\ngwctl doctor --fix\ngwctl doctor --offline --json")
def app(
    session: Session,
    offline: Annotated[bool, typer.Option("--offline", help="Do not call the upstreams.")] = False,
    fix: Annotated[bool, typer.Option("--fix", help="First make every file of the home private to this user.")] = False,
) -> None:
    """Check files, database, vault, audit, clock, port and upstreams; one line each, with its remedy.

    Exit 7 if any check fails.
    """
    from opsconsole.cli.checks import Finding, State, examine
    from opsconsole.cli.checks.home import close_to_others

    for path in close_to_others(session.unopened_home) if fix and session.unopened_home.exists else ():
        session.io.note(f"others could read {path}; now only you can")
    found: list[Finding] = []
    as_text = session.options.format is Format.TABLE
    for finding in examine(session.unopened_home, offline=offline):
        found.append(finding)
        if as_text:
            mark, hue = _MARKS[finding.state]
            remedy = f"  →  {finding.remedy}" if finding.remedy else ""
            session.io.data(
                f"{session.io.paint(mark.ljust(8), hue)} {finding.check.ljust(10)} {finding.text}{remedy}\n"
            )
    healthy = all(finding.state is not State.FAILED for finding in found)
    if not as_text:
        rows: list[Row] = [
            {"check": f.check, "state": f.state.value, "text": f.text, "remedy": f.remedy} for f in found
        ]
        columns = [Column("check"), Column("state"), Column("text"), Column("remedy")]
        session.show(Listing("checks", rows, columns, key="check", extra={"ok": healthy}))
    if not healthy:
        raise typer.Exit(Exit.CHECK_FAILED)
