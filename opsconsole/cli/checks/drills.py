"""Whether somebody's target is made to fail on purpose."""

from __future__ import annotations

from collections.abc import Iterator

from keyvault.domain.drills import FAULTS
from keyvault.home import Home
from opsconsole.cli.checks.finding import Finding, State


def drills(home: Home) -> Iterator[Finding]:
    running = home.drills.running()
    for drill in running:
        text = f"{drill.target} {FAULTS[drill.fault]} for key {drill.key}, until {drill.until:%H:%M:%S} UTC"
        yield Finding("drills", State.WARNING, text, f"gwctl drill stop {drill.id}")
    if not running:
        yield Finding("drills", State.OK, "none")
