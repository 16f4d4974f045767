"""`gwctl serve`: the proxy, in the foreground."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Annotated

import typer

from keyvault.settings import unknown_variables
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import single


@single(
    "serve",
    examples="""
    gwctl serve
    gwctl serve --listen 0.0.0.0:8900 --tls-cert chain.pem --tls-key key.pem
    """,
)
def app(
    session: Session,
    listen: Annotated[str | None, typer.Option("--listen", metavar="HOST:PORT", help="Where clients connect.")] = None,
    admin: Annotated[
        str | None, typer.Option("--admin", metavar="HOST:PORT", help="Loopback: /healthz, /readyz, /metrics.")
    ] = None,
    tls_cert: Annotated[
        str | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate chain (PEM) for clients.")
    ] = None,
    tls_key: Annotated[str | None, typer.Option("--tls-key", metavar="FILE", help="Its private key (PEM).")] = None,
    accept_clock: Annotated[
        bool, typer.Option("--accept-clock", help="The clock is right, though far ahead of when this last ran.")
    ] = False,
) -> None:
    """Run the proxy until SIGTERM. Port 0 picks a free one; the line it prints says which."""
    for name, value in (("listen", listen), ("admin", admin), ("tls_cert", tls_cert), ("tls_key", tls_key)):
        if value is not None:
            session.set(f"serve.{name}", value)
    home = session.home
    if unknown := unknown_variables(session.surroundings.environ):
        session.io.note(f"warning: no such setting: {', '.join(name for name, _ in unknown)}; see gwctl help settings")
    lean_server().run(
        home,
        listen=home.settings.listen,
        admin=home.settings.admin,
        ready=lambda line: session.io.data(line + "\n"),
        accept_clock=accept_clock,
    )


def lean_server() -> ModuleType:
    """The server, without rich: structlog would load it for tracebacks in colour, 4 MB for as long as it serves."""
    found = sys.modules.get("rich")
    sys.modules["rich"] = None  # type: ignore[assignment]  # an import of it fails, which structlog provides for
    try:
        from keyvault.proxy import server
    finally:
        del sys.modules["rich"]
    if found is not None:
        sys.modules["rich"] = found
    return server
