"""`gwctl help`: topics, and the help of any command."""

from __future__ import annotations

from typing import Annotated

import typer

from keyvault.errors import NotFound
from opsconsole.cli.completion import names_in
from opsconsole.cli.session import Session
from opsconsole.cli.topics import TOPICS, text
from opsconsole.cli.verbs import single


@single(
    "help",
    examples="""
    gwctl help exit-codes
    gwctl help keys create
    """,
)
def app(
    session: Session,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="TOPIC", help="A topic, or a command.", autocompletion=names_in(TOPICS)),
    ] = None,
) -> None:
    """Explain a topic (environment, formats, exit-codes, settings, headers) or a command."""
    if not words:
        session.io.data("".join(f"gwctl help {name:12} {summary}\n" for name, summary in TOPICS.items()))
    elif len(words) == 1 and words[0] in TOPICS:
        session.io.data(text(words[0]))
    else:
        session.io.data(_command_help(words))


def _command_help(words: list[str]) -> str:
    from opsconsole.cli.main import program

    command = typer.main.get_command(program())
    context = typer.Context(command, info_name="gwctl", **command.context_settings)
    for word in words:
        inner = command.get_command(context, word) if hasattr(command, "get_command") else None
        if inner is None:
            raise NotFound(f"no such topic or command: {' '.join(words)[:60]}", hint="gwctl help")
        command = inner
        context = typer.Context(command, info_name=word, parent=context)
    return command.get_help(context) + "\n"
