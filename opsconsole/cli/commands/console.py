"""`gwctl console`: the dashboard in the terminal."""

from __future__ import annotations

from typing import Annotated

import typer

from keyvault.errors import UsageError
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import single


@single("console", examples="gwctl console\ngwctl console --read-only")
def app(
    session: Session,
    read_only: Annotated[bool, typer.Option("--read-only", help="Without anything that changes something.")] = False,
) -> None:
    """Watch and operate the gateway in the terminal."""
    if not session.io.can_ask:
        raise UsageError("the console needs a terminal", hint="gwctl usage show")
    home = session.home
    from opsconsole.tui.app import run_console

    run_console(home, read_only=read_only, colour=session.io.colored)
