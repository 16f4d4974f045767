"""`gwctl replay FILE`: real requests of the past once more."""

from __future__ import annotations

from opsconsole.cli.commands.replay import looking, running
from opsconsole.cli.commands.replay.noun import replay

__all__ = ["looking", "running"]

app = replay.app
