"""`gwctl version`."""

from __future__ import annotations

from opsconsole.cli.output import Details
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import single


@single("version", examples="gwctl version --json")
def app(session: Session) -> None:
    """Print the version of the program and of what it stands on."""
    import platform
    from importlib.metadata import version

    from keyvault.storage.engine import sqlite_module

    session.show(
        Details(
            {
                "version": version("opsconsole"),
                "python": platform.python_version(),
                "sqlite": sqlite_module().sqlite_version,
                "platform": platform.platform(terse=True),
            },
            key="version",
        )
    )
