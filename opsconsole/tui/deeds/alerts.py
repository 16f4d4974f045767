"""Deeds of alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyvault.domain.alerts import Alert
from opsconsole.tui.deeds.deed import Deed, Done, Typed
from opsconsole.view.text import Span, line

if TYPE_CHECKING:
    from keyvault.home import Home


def resolve(alert: Alert) -> Deed:
    """Say that it has been dealt with."""

    def run(home: Home, _typed: Typed) -> Done:
        home.alerts.resolve(alert.kind, alert.scope)
        return Done(f"{alert.kind} of {alert.scope} is over")

    return Deed(
        f"{alert.scope}: say that it is over",
        "It is over",
        run,
        tells=lambda _values: (line(Span("What is still wrong raises it again.")),),
    )
