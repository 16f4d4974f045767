"""`gwctl routes`: which targets serve which model name, as commands and as a file say it."""

from __future__ import annotations

from opsconsole.cli.commands.routes import files, looking, setting, trying
from opsconsole.cli.commands.routes.noun import routes

__all__ = ["files", "looking", "setting", "trying"]

app = routes.app
