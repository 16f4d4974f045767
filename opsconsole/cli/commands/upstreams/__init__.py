"""`gwctl upstreams`: provider accounts, their credentials, and how those are exchanged while traffic flows."""

from __future__ import annotations

from opsconsole.cli.commands.upstreams import accounts, managing, rotation, trying
from opsconsole.cli.commands.upstreams.noun import upstreams

__all__ = ["accounts", "managing", "rotation", "trying"]

app = upstreams.app
