"""`gwctl upstreams rotate|promote|retire`: a new secret for a provider account, without a failed request.

The new secret is tested with a real call before it gets any traffic. The old one works on during the overlap, and until
its end the rotation can be undone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keyvault.domain.names import parse_duration
from keyvault.domain.vault import Credential, CredentialState
from keyvault.errors import UsageError
from keyvault.vault.trials import refuse_failure
from opsconsole.cli.arguments import SecretFile, SecretStdin, UpstreamName, given_secret
from opsconsole.cli.commands.upstreams.noun import COLUMNS, Label, credential_row, upstreams
from opsconsole.cli.commands.upstreams.trying import Model, Timeout
from opsconsole.cli.output import Details, Listing, Row
from opsconsole.cli.session import Session

Test = Annotated[bool, typer.Option("--test/--no-test", help="Make a real call with the new secret first.")]
Overlap = Annotated[str, typer.Option("--overlap", metavar="SPAN", help="How long the old secret stays usable.")]


@upstreams.verb(
    "rotate",
    changes=True,
    examples="""
    pass show openai | gwctl upstreams rotate openai --secret-stdin
    gwctl upstreams rotate openai --secret-file new.key --overlap 2h
    gwctl upstreams rotate openai --secret-file new.key --stage-only
    gwctl upstreams rotate openai --undo
    """,
)
def rotate(
    session: Session,
    name: UpstreamName,
    secret_stdin: SecretStdin = False,
    secret_file: SecretFile = None,
    label: Label = None,
    test: Test = True,
    model: Model = None,
    timeout: Timeout = 30.0,
    overlap: Overlap = "24h",
    stage_only: Annotated[bool, typer.Option("--stage-only", help="Seal the new secret, to promote it later.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Go back to the old secret, until it is retired.")] = False,
) -> None:
    """Replace a secret: seal the new one, test it with a real call, then let it take the traffic.

    Exit 7 if the test is not answered well: then the new secret stays staged and nothing changes.
    """
    if undo:
        _undo(session, name, label, given=bool(secret_stdin or secret_file or stage_only))
        return
    span = parse_duration(overlap)
    staged = _stage(session, name, secret_stdin, secret_file, label)
    if stage_only or session.dry_run:
        session.changed(f"staged a new credential of upstream {name}; it gets no traffic before it is promoted")
        session.show(Details(_rotated(session, name, staged, None)))
        return
    _promote(session, name, staged, span.total_seconds(), model, timeout, test=test)


@upstreams.verb(
    "promote", changes=True, examples="gwctl upstreams promote openai\ngwctl upstreams promote openai --no-test"
)
def promote(
    session: Session,
    name: UpstreamName,
    label: Label = None,
    test: Test = True,
    model: Model = None,
    timeout: Timeout = 30.0,
    overlap: Overlap = "24h",
) -> None:
    """Let a staged secret take the traffic; it is tested first unless it was answered well before."""
    span = parse_duration(overlap)
    staged = session.home.credentials.staged(name, label)
    untested = staged.state is CredentialState.STAGED
    _promote(
        session, name, staged, span.total_seconds(), model, timeout, test=test and untested and not session.dry_run
    )


@upstreams.verb("retire", changes=True, examples="gwctl upstreams retire openai --yes")
def retire(session: Session, name: UpstreamName, label: Label = None) -> None:
    """End the overlap of a rotation now: destroy the old secret."""
    upstream = session.home.upstreams.get(name)
    session.confirm(f"destroy the previous secret of upstream {upstream.name}? the rotation cannot be undone then")
    ended = session.home.credentials.retire(name, label)
    now = session.home.clock.now()
    session.changed(
        f"retired {len(ended)} previous credential{'s' if len(ended) > 1 else ''} of upstream {upstream.name}"
        if ended
        else f"upstream {upstream.name} has no previous credential"
    )
    rows: list[Row] = [credential_row(each, now) for each in ended]
    session.show(Listing("retired", rows, COLUMNS, key="label", extra={"name": upstream.name, "changed": bool(ended)}))


def _stage(session: Session, name: str, from_stdin: bool, file: Path | None, label: str | None) -> Credential:
    upstream = session.home.upstreams.get(name)
    missing = "rotating needs the new credential"
    prompt = f"new credential of {upstream.name}"
    secret = given_secret(session.io, prompt=prompt, from_stdin=from_stdin, file=file, missing=missing)
    return session.home.credentials.stage(name, secret, label)


def _promote(
    session: Session, name: str, staged: Credential, overlap: float, model: str | None, timeout: float, *, test: bool
) -> None:
    """Test, then promote; a failed test leaves everything as it is."""
    from datetime import timedelta

    service = session.home.credentials
    if test:
        result = session.home.trials.make(name, staged, model, timeout)
        hint = f"gwctl upstreams promote {name} --label {staged.label}"
        refuse_failure(f"{name}, which keeps its old credential,", result, hint=hint)
    current, previous = service.promote(name, staged.label, overlap=timedelta(seconds=overlap), only=staged)
    session.changed(f"upstream {name} goes with its new credential {current.label}")
    if previous is not None and previous.until is not None:
        session.changed(f"the old one stays usable until {previous.until:%Y-%m-%d %H:%M:%S} UTC")
    session.show(Details(_rotated(session, name, current, previous)))


def _undo(session: Session, name: str, label: str | None, *, given: bool) -> None:
    if given:
        raise UsageError("--undo takes no new secret", hint=f"gwctl upstreams rotate {name} --undo")
    current, previous = session.home.credentials.undo(name, label)
    session.changed(f"upstream {name} goes with its former credential {current.label} again")
    session.show(Details(_rotated(session, name, current, previous)))


def _rotated(session: Session, name: str, credential: Credential, previous: Credential | None) -> Row:
    now = session.home.clock.now()
    told = credential_row(credential, now)
    return {
        "name": session.home.upstreams.get(name).name,
        **told,
        "previous": None if previous is None else {"id": previous.id, "until": previous.until},
    }
