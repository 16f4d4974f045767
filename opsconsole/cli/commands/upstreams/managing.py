"""`gwctl upstreams create|list|show|presets|disable|enable|delete`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keyvault.domain.endpoints import Dialect
from keyvault.domain.providers import Preset, preset, presets
from keyvault.errors import UsageError
from keyvault.secrets import Secret
from opsconsole.cli.arguments import Confirm, NewName, SecretFile, SecretStdin, UpstreamName, given_secret, listed
from opsconsole.cli.commands.upstreams.noun import UNTRIED, show_upstream, upstream_row, upstreams
from opsconsole.cli.completion import names_in
from opsconsole.cli.output import Column, Details, Listing, Row
from opsconsole.cli.session import Session
from opsconsole.cli.unserved import ROUTE_REMEDY, unserved

Provider = Annotated[
    str,
    typer.Option(
        "--provider",
        metavar="PRESET",
        help="As `gwctl upstreams presets` lists them.",
        autocompletion=names_in(p.name for p in presets()),
    ),
]


@upstreams.verb(
    "create",
    changes=True,
    examples="""
    gwctl upstreams create openai --provider openai
    gwctl upstreams create groq --provider groq --secret-file groq.key
    gwctl upstreams create local --provider ollama --no-secret --allow-private
    pass show anthropic | gwctl upstreams create anthropic --provider anthropic --secret-stdin
    """,
)
def create(
    session: Session,
    name: NewName,
    provider: Provider,
    base_url: Annotated[
        str | None,
        typer.Option("--base-url", metavar="URL", help="Instead of the preset's, prefix such as /v1 included."),
    ] = None,
    secret_stdin: SecretStdin = False,
    secret_file: SecretFile = None,
    no_secret: Annotated[bool, typer.Option("--no-secret", help="It needs no credential.")] = False,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="May be on this machine or a private network, and plain http.")
    ] = False,
    ca_file: Annotated[
        Path | None, typer.Option("--ca-file", metavar="FILE", help="Trust these certificates instead of the system's.")
    ] = None,
    auth_header: Annotated[
        str | None,
        typer.Option("--auth-header", metavar="NAME", help="Header of the credential, instead of the preset's."),
    ] = None,
    auth_scheme: Annotated[
        str | None, typer.Option("--auth-scheme", metavar="WORD", help="Word before it, such as Bearer; '' for none.")
    ] = None,
    dialects: Annotated[
        str | None,
        typer.Option("--dialects", metavar="LIST", help="Request shapes it serves, instead of the preset's."),
    ] = None,
) -> None:
    """Create an upstream; its credential is asked for without echo, or read from stdin or a file."""
    chosen = preset(provider)
    secret = _credential(session, name, chosen, no_secret, secret_stdin, secret_file)
    upstream = session.home.upstreams.create(
        name,
        provider,
        base_url=base_url,
        secret=secret,
        allow_private=allow_private,
        ca_file=None if ca_file is None else str(ca_file),
        auth_header=auth_header,
        auth_scheme=auth_scheme,
        dialects=_dialects(dialects),
    )
    session.changed(f"created upstream {upstream.name}; to see it answer: gwctl upstreams test {upstream.name}")
    show_upstream(session, upstream)
    if (reason := unserved(session.home)) is not None:
        session.io.note(f"warning: {reason}; to say what serves: {ROUTE_REMEDY}")


@upstreams.verb("list", examples="gwctl upstreams list --json")
def list_(session: Session) -> None:
    """List upstreams, without their credentials."""
    columns = [
        Column("name"),
        Column("provider"),
        Column("base_url", "BASE URL"),
        Column("state"),
        Column("verified_at", "VERIFIED", UNTRIED),
        Column("rotated_at", "CREDENTIAL SINCE"),
    ]
    rows = [upstream_row(upstream, found) for upstream, found in session.home.credentials.by_upstream()]
    session.show(Listing("upstreams", rows, columns))


@upstreams.verb("show", examples="gwctl upstreams show openai")
def show(session: Session, name: UpstreamName) -> None:
    """Show an upstream, without its credential."""
    show_upstream(session, session.home.upstreams.get(name))


@upstreams.verb("presets", examples="gwctl upstreams presets")
def list_presets(session: Session) -> None:
    """List the providers known by name, and whether and when each was seen to work."""
    rows: list[Row] = [
        {
            "name": p.name,
            "title": p.title,
            "base_url": p.base_url,
            "base_url_form": p.base_url_form or None,
            "dialects": sorted(p.dialects),
            "needs_secret": p.needs_secret,
            "catalogue": p.catalogue,
            "verified": p.verified or UNTRIED,
        }
        for p in presets()
    ]
    columns = [Column("name"), Column("title"), Column("verified"), Column("dialects"), Column("base_url", "BASE URL")]
    session.show(Listing("presets", rows, columns))


@upstreams.verb("disable", changes=True, examples="gwctl upstreams disable openai")
def disable(session: Session, name: UpstreamName) -> None:
    """Take an upstream out of service at once."""
    upstream = session.home.upstreams.disable(name)
    session.changed(f"disabled upstream {upstream.name}")
    show_upstream(session, upstream)


@upstreams.verb("enable", changes=True, examples="gwctl upstreams enable openai")
def enable(session: Session, name: UpstreamName) -> None:
    """Put a disabled upstream back into service."""
    upstream = session.home.upstreams.enable(name)
    session.changed(f"enabled upstream {upstream.name}")
    show_upstream(session, upstream)


@upstreams.verb("delete", changes=True, examples="gwctl upstreams delete openai --confirm openai")
def delete(session: Session, name: UpstreamName, confirm: Confirm = None) -> None:
    """Remove an upstream and all its credentials for good. What it served stays in the ledger."""
    upstream = session.home.upstreams.get(name)
    session.confirm_name(
        f"delete upstream {upstream.name} and its credentials? this cannot be undone", upstream.name, confirm
    )
    upstream = session.home.upstreams.delete(name)
    session.changed(f"deleted upstream {upstream.name}")
    session.show(Details({**upstream_row(upstream, []), "deleted": True}))


def _credential(
    session: Session, name: str, chosen: Preset, no_secret: bool, from_stdin: bool, file: Path | None
) -> Secret | None:
    if no_secret:
        if from_stdin or file:
            raise UsageError("--no-secret goes with neither --secret-stdin nor --secret-file", hint="give one of them")
        return None
    if not chosen.needs_secret and not (from_stdin or file):
        return None
    missing = f"provider {chosen.name} needs a credential"
    return given_secret(session.io, prompt=f"credential of {name}", from_stdin=from_stdin, file=file, missing=missing)


def _dialects(text: str | None) -> list[Dialect] | None:
    words = listed("--dialects", text, otherwise="leave the option out for the preset's")
    if words is None:
        return None
    known = [dialect.value for dialect in Dialect if dialect is not Dialect.OTHER]
    for word in words:
        if word not in known:
            raise UsageError(f"no such dialect: {word[:40]!a}", hint=f"some of {','.join(known)}")
    return [Dialect(word) for word in words]
