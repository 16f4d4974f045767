"""`gwctl version`."""

from __future__ import annotations

from opsconsole.cli.output import Details
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import single


@single("version", examples="gwctl version --json")
def app(session: Session) -> None:
    """Print the version of the program, of Python, and the platform."""
    import platform
    from importlib.metadata import version

    session.show(
        Details(
            {
                "version": version("opsconsole"),
                "python": platform.python_version(),
                "platform": platform.platform(terse=True),
            },
            key="version",
        )
    )
