"""Which gateway or API a command of the staging kit asks, and as whom."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keyvault.money import parse_usd
from opsconsole.cli.arguments import given_secret

if TYPE_CHECKING:
    from opsconsole.cli.session import Session
    from opsconsole.staging.asking import Place
    from opsconsole.staging.runs import Runs

Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="An API to ask, with its version; else the gateway that runs here."),
]
KeyFile = Annotated[
    Path | None, typer.Option("--key-file", metavar="FILE", help="The key for it; here a temporary one is made.")
]
KeyStdin = Annotated[bool, typer.Option("--key-stdin", help="Read the key from stdin.")]
Concurrency = Annotated[
    int, typer.Option("--concurrency", metavar="COUNT", min=1, max=200, help="Requests at the same time.")
]
MaxCost = Annotated[
    str | None, typer.Option("--max-cost", metavar="USD", help="Begin nothing with which it may cost more.")
]


@contextlib.contextmanager
def asked_place(
    session: Session,
    purpose: str,
    url: str | None,
    key_file: Path | None,
    key_stdin: bool,
    lives: timedelta = timedelta(days=1),
) -> Iterator[tuple[Place, bool]]:
    """The place, and whether it is the gateway of this home, which then lends a key for as long as the block runs, but
    no longer than it `lives`."""
    from opsconsole.staging.asking import Place
    from opsconsole.staging.places import own_place

    if url is None and key_file is None and not key_stdin:
        with own_place(session.home, purpose, lives=lives) as place:
            yield place, True
        return
    if url is None:
        from opsconsole.staging.places import own_gateway

        url, own = own_gateway(session.home), True
    else:
        own = False
    place = Place.at(url)
    secret = given_secret(
        session.io,
        prompt=f"key for {place.base_url}",
        from_stdin=key_stdin,
        file=key_file,
        missing=f"no key for {place.base_url} was given",
        options="--key-stdin or --key-file FILE",
    )
    yield Place(place.base_url, secret, ca_file=session.home.settings.tls_cert if own else ""), own


def runs(session: Session) -> Runs:
    """What the staging kit has done in this home."""
    from opsconsole.staging.runs import Runs

    home = session.home
    return Runs(home.paths.state, home.clock)


def most_cost(text: str | None) -> int | None:
    """`2`, `2.50` or `2usd` as pico-dollars. Raises `UsageError`."""
    return None if text is None else parse_usd(text.lower().removesuffix("usd"))
