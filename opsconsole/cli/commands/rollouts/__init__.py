"""`gwctl rollouts`: a new target takes a small, watched share of an alias's requests."""

from __future__ import annotations

from opsconsole.cli.commands.rollouts import changing, looking, starting
from opsconsole.cli.commands.rollouts.noun import rollouts

__all__ = ["changing", "looking", "starting"]

app = rollouts.app
