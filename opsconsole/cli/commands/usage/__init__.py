"""`gwctl usage`: requests, tokens, cost and charge, from the ledger. The vault need not be unlocked."""

from __future__ import annotations

from opsconsole.cli.commands.usage import exporting, reconciling, reporting, repricing, showing, tailing
from opsconsole.cli.commands.usage.noun import usage

__all__ = ["exporting", "reconciling", "reporting", "repricing", "showing", "tailing"]

app = usage.app
