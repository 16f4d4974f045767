"""`gwctl demo`: the whole product at work, with simulated providers and a home that is thrown away."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from keyvault.errors import Exit
from opsconsole.cli.output import Column, Format, Listing
from opsconsole.cli.session import Session
from opsconsole.cli.text import Amount
from opsconsole.cli.verbs import single

if TYPE_CHECKING:
    from keyvault.home import Home
    from opsconsole.staging.demo import DemoResult


@single("demo", examples="gwctl demo\ngwctl demo --plain --seconds 10")
def app(
    session: Session,
    seconds: Annotated[
        float | None, typer.Option("--seconds", metavar="N", min=1, help="How long, without the console.")
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Progress and a summary instead of the console.")] = False,
) -> None:
    """See it work: traffic through the real proxy to simulated providers, with the console on top.

    Ends with a check that the ledger says what the providers counted; exit 7 if it does not.
    """
    from opsconsole.staging.demo import run_demo, summary

    watch = session.io.can_ask and not plain and seconds is None and session.options.format is Format.TABLE
    watching = partial(_console, colour=session.io.colored)
    result = run_demo(seconds=seconds, on_progress=session.io.note, console=watching if watch else None)
    if session.options.format is Format.TABLE:
        session.io.data(summary(result) + "\n")
    else:
        session.show(_document(result))
    if not result.ok:
        raise typer.Exit(Exit.CHECK_FAILED)


def _console(home: Home, *, colour: bool) -> None:
    from opsconsole.tui.app import run_console

    run_console(home, read_only=True, colour=colour)


def _document(result: DemoResult) -> Listing:
    rows = [
        {
            "target": check.target,
            "provider_requests": check.provider.attempts,
            "ledger_requests": check.ledger.attempts,
            "provider_input_tokens": check.provider.input_tokens,
            "ledger_input_tokens": check.ledger.input_tokens,
            "provider_output_tokens": check.provider.output_tokens,
            "ledger_output_tokens": check.ledger.output_tokens,
            "cost": Amount(check.known_cost_pico),
            "problems": check.problems,
        }
        for check in result.targets
    ]
    columns = [Column(name) for name in ("target", "provider_requests", "ledger_requests", "cost")]
    extra = {"ok": result.ok, "seconds": round(result.seconds, 1), "requests_sent": result.clients.sent}
    return Listing("targets", rows, columns, key="target", extra=extra)
