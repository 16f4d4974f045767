"""Whether anybody's requests are being kept, and whether something lies there that nobody can read."""

from __future__ import annotations

from collections.abc import Iterator

from keyvault.home import Home
from opsconsole.cli.checks.finding import Finding, State


def captures(home: Home) -> Iterator[Finding]:
    running = home.captures.running()
    for capture in running:
        text = f"capturing {capture.of} until {capture.until:%Y-%m-%d %H:%M} UTC, {capture.taken:,} exchanges so far"
        yield Finding("captures", State.WARNING, text, f"gwctl captures stop {capture.id}")
    if not running:
        kept = len(home.captures.list())
        yield Finding("captures", State.OK, f"none runs; {kept} kept" if kept else "none")
    for path in home.captures.strays():
        text = f"{path} belongs to no capture, and nobody can read it any more"
        yield Finding("captures", State.WARNING, text, f"rm -r {path}")
