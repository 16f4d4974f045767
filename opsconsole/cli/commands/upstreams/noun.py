"""The noun `upstreams`, and how its verbs show an upstream and its credentials."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

import typer

from keyvault.domain.vault import Credential, CredentialState, Upstream
from opsconsole.cli.output import Column, Details, Listing, Row
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import Noun

upstreams = Noun(
    "upstreams",
    "Provider accounts and their credentials.",
    examples="gwctl upstreams create openai --provider openai\ngwctl upstreams test openai\ngwctl upstreams presets",
    modules={
        "trying": ("test",),
        "rotation": ("rotate", "promote", "retire"),
        "managing": ("create", "list", "show", "presets", "disable", "enable", "delete"),
        "accounts": ("credentials",),
    },
)

UNTRIED: Final = "untried"
"""Nobody has seen it answer."""

Label = Annotated[
    str | None, typer.Option("--label", metavar="LABEL", help="Which account, where the upstream has several.")
]

COLUMNS: Final = [
    Column("label"),
    Column("state"),
    Column("weight"),
    Column("since"),
    Column("until"),
    Column("tested_at", "TESTED", UNTRIED),
    Column("test_note", "RESULT"),
    Column("aside_at", "ASIDE SINCE"),
]


def show_upstream(session: Session, upstream: Upstream) -> None:
    """An upstream and its credentials, but for the retired ones."""
    found = session.home.credentials.of(upstream.name) if upstream.id else []
    session.show(upstream_card(upstream, found, session.home.clock.now()))


def upstream_card(upstream: Upstream, found: Sequence[Credential], now: datetime) -> Details:
    listing = Listing("credentials", usable_rows(found, now), COLUMNS, key="label")
    return Details(upstream_row(upstream, found), inner=[listing], absent={"verified_at": UNTRIED})


def usable_rows(found: Sequence[Credential], now: datetime) -> list[Row]:
    return [credential_row(each, now) for each in found if each.state_at(now) is not CredentialState.RETIRED]


def upstream_row(upstream: Upstream, found: Sequence[Credential]) -> Row:
    current = [each for each in found if each.state is CredentialState.CURRENT]
    return {
        "name": upstream.name,
        "provider": upstream.provider,
        "base_url": upstream.base_url,
        "state": _state(upstream, current),
        "dialects": sorted(upstream.dialects),
        "has_secret": upstream.has_secret,
        "auth_header": upstream.auth_header or None,
        "allow_private": upstream.allow_private,
        "ca_file": upstream.ca_file,
        "stream_usage": upstream.stream_usage,
        "catalogue": upstream.catalogue,
        "verified_at": upstream.verified_at,
        "verified_note": upstream.verified_note or None,
        "rotated_at": max((each.changed_at for each in current), default=None),
        "created_at": upstream.created_at,
    }


def _state(upstream: Upstream, current: Sequence[Credential]) -> str:
    if upstream.disabled:
        return "disabled"
    return "refused" if current and all(each.aside_at is not None for each in current) else "active"


def credential_row(credential: Credential, now: datetime) -> Row:
    """A credential for people and programs, without its secret."""
    return {
        "id": credential.id,
        "label": credential.label,
        "state": credential.state_at(now).value,
        "weight": credential.weight,
        "since": credential.changed_at,
        "until": credential.until,
        "tested_at": credential.tested_at,
        "test_note": credential.test_note or None,
        "aside_at": credential.aside_at,
        "aside_note": credential.aside_note or None,
        "created_at": credential.created_at,
    }
