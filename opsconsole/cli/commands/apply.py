"""`gwctl apply`: customers, projects and keys as a file says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keyvault.errors import UsageError
from opsconsole.cli.files import read_text
from opsconsole.cli.plans import ExitCode, OnlyPlan, OutDir, carry_out
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import single


@single(
    "apply",
    changes=True,
    examples="""
    gwctl apply --print-current > tenants.toml
    gwctl apply -f tenants.toml --plan
    gwctl apply -f tenants.toml --out-dir new-keys
    gwctl apply -f tenants.toml --prune
    """,
)
def app(
    session: Session,
    file: Annotated[
        Path | None, typer.Option("-f", "--file", metavar="FILE", help="Such as tenants.toml; - for stdin.")
    ] = None,
    plan: OnlyPlan = False,
    exit_code: ExitCode = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Revoke keys and suspend customers that the file does not name.")
    ] = False,
    out_dir: OutDir = None,
    print_current: Annotated[
        bool, typer.Option("--print-current", help="Print the file that wants what is, and change nothing.")
    ] = False,
) -> None:
    """Make customers, projects and keys what a file says.

    What the file leaves out of a thing stays as it is. All changes are one transaction: a file with an error in it
    changes nothing. A file holds no secrets; those of new keys go to --out-dir.
    """
    if print_current:
        if file is not None:
            raise UsageError("--print-current reads no file", hint="gwctl apply --print-current > tenants.toml")
        session.io.data(session.home.tenants.current())
        return
    if file is None:
        raise UsageError("which file?", hint="gwctl apply -f tenants.toml")
    from keyvault.tenants import document

    wanted = document.read(read_text(session, file), str(file))
    carry_out(session, wanted, only_plan=plan, exit_code=exit_code, out_dir=out_dir, prune=prune)
