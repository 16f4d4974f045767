"""`gwctl keys verify`."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Annotated, Final

import typer

from keyvault.errors import CheckFailed, Unavailable, UsageError
from opsconsole.cli.arguments import SecretFile, SecretStdin, given_secret
from opsconsole.cli.commands.keys.noun import keys
from opsconsole.cli.completion import names_in
from opsconsole.cli.output import Details
from opsconsole.cli.session import Session

if TYPE_CHECKING:
    from keyvault.domain.workers import Worker

EXPECTED: Final = ("accepted", "refused")
EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - nothing is bound here
"""Where a worker that listens on every address is reached on its own machine."""


@keys.verb(
    "verify",
    examples="""
    gwctl keys verify --secret-file ci-bot.key
    pbpaste | gwctl keys verify --secret-stdin --expect refused
    gwctl keys verify --url https://gateway.example.com --secret-file ci-bot.key --json
    """,
)
def verify(
    session: Session,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="The gateway to ask; else the one that runs here.")
    ] = None,
    secret_stdin: SecretStdin = False,
    secret_file: SecretFile = None,
    expect: Annotated[
        str,
        typer.Option(
            "--expect", metavar="accepted|refused", help="Exit 7 if it is not.", autocompletion=names_in(EXPECTED)
        ),
    ] = "accepted",
) -> None:
    """Prove that a running gateway accepts a secret, or refuses it. Costs nothing and is no use of the key."""
    from keyvault.keys.verdict import ask

    if expect not in EXPECTED:
        raise UsageError(f"--expect: no such choice: {expect[:40]!a}", hint=f"one of {', '.join(EXPECTED)}")
    secret = given_secret(
        session.io, prompt="secret", from_stdin=secret_stdin, file=secret_file, missing="no secret to verify was given"
    )
    verdict = ask(url or _running(session), secret)
    said = "accepted" if verdict.accepted else "refused"
    row = {
        "url": verdict.url,
        "verdict": said,
        "expected": expect,
        "as_expected": said == expect,
        "status": verdict.status,
        "reason": verdict.reason,
    }
    session.show(Details(row, key="verdict", omit=frozenset({"reason"} if verdict.reason is None else ())))
    if said != expect:
        raise CheckFailed(f"the secret is {said} by {verdict.url}, not {expect}")


def _running(session: Session) -> str:
    """The address of a live worker, of this machine where there is one."""
    home = session.home
    found = sorted(home.workers.live(), key=lambda worker: worker.host != socket.gethostname())
    if not found:
        raise Unavailable("no worker is live", hint="gwctl serve, or name a gateway with --url")
    return _url(found[0], tls=bool(home.settings.tls_cert))


def _url(worker: Worker, *, tls: bool) -> str:
    host, _, port = worker.listen.rpartition(":")
    return f"{'https' if tls else 'http'}://{EVERYWHERE.get(host, host)}:{port}"
