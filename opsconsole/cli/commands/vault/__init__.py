"""`gwctl vault`: how the vault opens, what is in it, and the rotation of the keys below it."""

from opsconsole.cli.commands.vault.noun import vault as app

__all__ = ["app"]
