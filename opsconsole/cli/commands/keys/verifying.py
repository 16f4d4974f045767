"""`gwctl keys verify`."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from keyvault.errors import CheckFailed, UsageError
from opsconsole.cli.arguments import SecretFile, SecretStdin, given_secret
from opsconsole.cli.commands.keys.noun import keys
from opsconsole.cli.completion import names_in
from opsconsole.cli.output import Details
from opsconsole.cli.session import Session

EXPECTED: Final = ("accepted", "refused")


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
    from opsconsole.staging.places import own_gateway

    if expect not in EXPECTED:
        raise UsageError(f"--expect: no such choice: {expect[:40]!a}", hint=f"one of {', '.join(EXPECTED)}")
    secret = given_secret(
        session.io, prompt="secret", from_stdin=secret_stdin, file=secret_file, missing="no secret to verify was given"
    )
    verdict = ask(url or own_gateway(session.home), secret)
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
