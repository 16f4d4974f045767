"""`gwctl upstreams`: provider accounts, their credentials, and how those are exchanged while traffic flows."""

from opsconsole.cli.commands.upstreams.noun import upstreams as app

__all__ = ["app"]
