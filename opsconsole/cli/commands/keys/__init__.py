"""`gwctl keys`: what applications call the gateway with, from creation to revocation."""

from __future__ import annotations

from opsconsole.cli.commands.keys import adopting, finding, managing, rotation, stopping
from opsconsole.cli.commands.keys.noun import keys

__all__ = ["adopting", "finding", "managing", "rotation", "stopping"]

app = keys.app
