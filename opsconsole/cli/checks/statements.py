"""Whether statements and credit notes are what was issued, as far as that can be told without the vault."""

from __future__ import annotations

from collections.abc import Iterator

from keyvault.home import Home
from opsconsole.cli.checks.finding import Finding, State

_REMEDY = "compare it with the copy that was sent (gwctl audit list has what it said), then restore a backup"


def statements(home: Home) -> Iterator[Finding]:
    wrong = home.statements.verify()
    for text in wrong:
        yield Finding("statements", State.FAILED, text, _REMEDY)
    if not wrong:
        count = len(home.statements.list())
        yield Finding("statements", State.OK, f"{count} are as they were issued" if count else "none")
