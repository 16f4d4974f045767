"""`gwctl keys`: what applications call the gateway with, from creation to revocation."""

from opsconsole.cli.commands.keys.noun import keys as app

__all__ = ["app"]
