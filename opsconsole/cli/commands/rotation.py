"""`gwctl rotation install`: what makes a machine rotate the keys that are due, by itself, at night.

It prints files that come with the package, filled in for this home; the operator reads them and puts them in place.
"""

from __future__ import annotations

import getpass
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from string import Template
from typing import Annotated, Final

import typer

from keyvault.domain.names import parse_duration
from keyvault.errors import UsageError
from opsconsole.cli.output import Column, Format, Listing
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import Noun

rotation = Noun(
    "rotation",
    "Rotating keys at night, by cron or systemd.",
    examples="gwctl rotation install --cron --print --out '/run/keys/{name}'",
)
app = rotation

CRON: Final = {"gwctl-rotate.cron": "/etc/cron.d/gwctl-rotate"}
SYSTEMD: Final = {
    "gwctl-rotate.service": "/etc/systemd/system/gwctl-rotate.service",
    "gwctl-rotate.timer": "/etc/systemd/system/gwctl-rotate.timer",
}
"""File of the package → where it belongs."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./{}+:@,=-]+\Z")


@rotation.verb(
    "install",
    examples="""
    gwctl rotation install --cron --print --user gateway --key-file /etc/gwctl/night.key --out '/run/keys/{name}'
    gwctl rotation install --systemd --print --user gateway --key-file /etc/gwctl/night.key --out '/run/keys/{name}'
    """,
)
def install(
    session: Session,
    cron: Annotated[bool, typer.Option("--cron", help="A file for /etc/cron.d.")] = False,
    systemd: Annotated[bool, typer.Option("--systemd", help="A service and its timer.")] = False,
    print_: Annotated[bool, typer.Option("--print", help="Print them; nothing is put in place by itself.")] = False,
    user: Annotated[str | None, typer.Option("--user", metavar="NAME", help="Who runs it; otherwise you.")] = None,
    key_file: Annotated[
        str | None, typer.Option("--key-file", metavar="FILE", help="The unlock secret; best one of --scope keys.")
    ] = None,
    out: Annotated[
        str, typer.Option("--out", metavar="FILE", help="Where new secrets go; {name} is the key's.")
    ] = "/run/gwctl-keys/{name}",
    grace: Annotated[str, typer.Option("--grace", metavar="SPAN", help="How long old secrets work on.")] = "24h",
) -> None:
    """Print what makes cron or systemd rotate the keys that are due, every night."""
    if cron == systemd:
        raise UsageError("which one? give --cron or --systemd", hint="gwctl rotation install --systemd --print")
    if not print_:
        hint = f"gwctl rotation install {'--cron' if cron else '--systemd'} --print, then save what it prints"
        raise UsageError("nothing is put in place by itself: that needs root, and your eyes first", hint=hint)
    if "{name}" not in out:
        raise UsageError(f"--out {out} is one file for all keys", hint="--out '/run/gwctl-keys/{name}'")
    parse_duration(grace)
    paths = session.home.paths
    night = Night(session, user or getpass.getuser(), Path(key_file or paths.key_file).absolute(), out, grace)
    files = list(night.files(CRON if cron else SYSTEMD))
    if session.options.format is Format.TABLE:
        session.io.data("\n".join(text for _, text in files))
        return
    rows = [{"path": path, "content": text} for path, text in files]
    session.show(Listing("files", rows, [Column("path")], key="path"))


class Night:
    """The files for one home, filled in."""

    def __init__(self, session: Session, user: str, key_file: Path, out: str, grace: str) -> None:
        self._paths = session.home.paths
        self._settings = {k: v for k, v in session.surroundings.environ.items() if k in ("GWCTL_HOME",)}
        self._user = _plain("--user", user)
        self._key_file = _plain("--key-file", str(key_file))
        self._out = _plain("--out", str(Path(out).absolute()))
        self._grace = grace

    def files(self, wanted: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Where each belongs, and its text."""
        for name, path in wanted.items():
            text = resources.files("opsconsole").joinpath("units", name).read_text(encoding="utf-8")
            yield path, Template(text).substitute(self._values(for_cron=name.endswith(".cron")))

    def _values(self, *, for_cron: bool) -> dict[str, str]:
        settings = dict(self._settings)
        if for_cron:  # systemd hands the key over by itself
            settings["GWCTL_KEY_FILE"] = self._key_file
        written = [f"{name}={_plain(name, value)}" for name, value in settings.items()]
        places = {str(path) for path in (self._paths.config, self._paths.data, self._paths.state)}
        return {
            "user": self._user,
            "key_file": self._key_file,
            "command": shlex.join(self._command()),
            "environment": "\n".join(line if for_cron else f"Environment={line}" for line in written),
            "writable": " ".join(_plain("a path", p) for p in sorted({*places, str(Path(self._out).parent)})),
        }

    def _command(self) -> list[str]:
        gwctl = _plain("the program's path", str(Path(sys.executable).with_name("gwctl")))
        return [gwctl, "keys", "rotate", "--due", "--grace", self._grace, "--out", self._out]


def _plain(what: str, text: str) -> str:
    """`text` if it means the same in a crontab, a unit and a shell, else `UsageError`."""
    if not _PLAIN.match(text):
        raise UsageError(f"{what}: {text[:80]!a} cannot stand in a crontab or a unit", hint="letters, digits, _ . / -")
    return text
