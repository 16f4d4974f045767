"""`gwctl usage`: requests, tokens, cost and charge, from the ledger. The vault need not be unlocked."""

from opsconsole.cli.commands.usage.noun import usage as app

__all__ = ["app"]
