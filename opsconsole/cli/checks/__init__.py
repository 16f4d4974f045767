"""What `gwctl doctor` looks at: everything about a home that can be wrong, each with its remedy.

A check never changes anything and never stops the others: whatever it raises is its finding. What is wrong is said
once: checks that need what is broken are marked as skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from keyvault.errors import GatewayError
from keyvault.home import Home
from opsconsole.cli.checks import balances, captures, drills, network, rollouts, seals, statements, storage
from opsconsole.cli.checks import home as of_home
from opsconsole.cli.checks.finding import Check, Finding, State

__all__ = ["CHECKS", "Finding", "State", "examine"]

CHECKS: Final = (
    Check("settings", of_home.settings),
    Check("files", of_home.files, ("settings",)),
    Check("space", storage.space, ("settings",)),
    Check("database", storage.database, ("settings",)),
    Check("writing", storage.writing, ("database", "space")),
    Check("vault", of_home.vault, ("database",)),
    Check("rows", seals.rows, ("database", "vault")),
    Check("balances", balances.balances, ("database", "vault")),
    Check("statements", statements.statements, ("database",)),
    Check("audit", seals.audit_log, ("database",)),
    Check("clock", of_home.clock, ("database",)),
    Check("routes", of_home.routes, ("database",)),
    Check("rollouts", rollouts.rollouts, ("database",)),
    Check("captures", captures.captures, ("database",)),
    Check("drills", drills.drills, ("database",)),
    Check("alerts", of_home.alerts, ("database",)),
    Check("port", network.port, ("database",)),
    Check("upstreams", network.providers, ("database", "vault"), offline=False),
)


def examine(home: Home, *, offline: bool) -> Iterator[Finding]:
    """All findings, as they are made. Where nothing is set up that is the only one."""
    if not home.exists:
        yield Finding("home", State.FAILED, "no gateway is set up here", "gwctl init")
        return
    causes: dict[str, str] = {}
    for check in CHECKS:
        if offline and not check.offline:
            continue
        if cause := next((causes[name] for name in check.needs if name in causes), None):
            causes[check.name] = cause
            yield Finding(check.name, State.SKIPPED, f"needs the {cause}")
            continue
        try:
            yield from check.look(home)
        except (GatewayError, OSError) as error:
            causes[check.name] = check.name
            hint = error.hint if isinstance(error, GatewayError) else None
            yield Finding(check.name, State.FAILED, str(error), hint if hint != "gwctl doctor" else None)
