"""`gwctl routes`: which targets serve which model name, as commands and as a file say it."""

from opsconsole.cli.commands.routes.noun import routes as app

__all__ = ["app"]
