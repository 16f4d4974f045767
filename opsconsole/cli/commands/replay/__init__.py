"""`gwctl replay FILE`: real requests of the past once more."""

from opsconsole.cli.commands.replay.noun import replay as app

__all__ = ["app"]
