"""`gwctl keys`: what applications call the gateway with, from creation to revocation."""

from __future__ import annotations

from opsconsole.cli.commands.keys import (
    adopting,
    creating,
    exchange,
    finding,
    grace,
    managing,
    rotation,
    stopping,
    verifying,
)
from opsconsole.cli.commands.keys.noun import keys

__all__ = ["adopting", "creating", "exchange", "finding", "grace", "managing", "rotation", "stopping", "verifying"]

app = keys.app
