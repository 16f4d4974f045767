"""`gwctl rollouts`: a new target takes a small, watched share of an alias's requests."""

from opsconsole.cli.commands.rollouts.noun import rollouts as app

__all__ = ["app"]
