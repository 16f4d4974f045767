"""`gwctl completion`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from opsconsole.cli.completion import SCRIPTS
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import single


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@single(
    "completion",
    examples="""
    source <(gwctl completion bash)                       # in ~/.bashrc
    gwctl completion zsh > "${fpath[1]}/_gwctl"
    gwctl completion fish > ~/.config/fish/completions/gwctl.fish
    """,
)
def app(session: Session, shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")]) -> None:
    """Print a script that completes commands, options and the names of keys, upstreams and aliases."""
    session.io.data(SCRIPTS[shell])
