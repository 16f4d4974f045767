"""How commands are declared: a noun holds verbs; a verb is a function of a `Session` and its own options.

Each verb also takes the options all commands share; it gets them through its session.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any, Final

import typer

from keyvault.errors import UsageError
from opsconsole.cli.grammar import Nouns, Verb
from opsconsole.cli.io import OutputClosed
from opsconsole.cli.output import Format
from opsconsole.cli.session import Options, Session
from opsconsole.cli.shared import EARLIER, options_from, shared_parameters

Body = Callable[..., None]


class Noun:
    """The verbs of one noun."""

    def __init__(self, name: str, summary: str, *, examples: str, group: type[Nouns] = Nouns) -> None:
        self.app = typer.Typer(
            name=name,
            cls=group,
            help=summary,
            epilog=_lines(examples),
            rich_markup_mode=None,
            add_completion=False,
            pretty_exceptions_enable=False,
            pretty_exceptions_show_locals=False,
        )
        self.app.callback(invoke_without_command=True)(_help_when_alone)

    def verb(
        self, name: str, *, examples: str, changes: bool = False, mints: bool = False, toml: bool = False
    ) -> Callable[[Body], Body]:
        """Declare a verb; the function's docstring is its help.

        `changes`: it takes `--dry-run`. `mints`: it makes a key's secret, so `-o secret` has a meaning. `toml`: it
        writes the file that says what it shows, by `-o toml`.
        """

        def declare(body: Body) -> Body:
            _add(self.app, name, body, examples=examples, changes=changes, mints=mints, toml=toml)
            return body

        return declare

    def add(self, noun: Noun) -> None:
        """Put a noun below this one, as `slots` below `vault`."""
        self.app.add_typer(noun.app)


def single(name: str, *, examples: str, changes: bool = False) -> Callable[[Body], typer.Typer]:
    """Declare a command that has no noun, such as `init`; what it decorates becomes its app."""

    def declare(body: Body) -> typer.Typer:
        app = typer.Typer(
            rich_markup_mode=None,
            add_completion=False,
            pretty_exceptions_enable=False,
            pretty_exceptions_show_locals=False,
        )
        _add(app, name, body, examples=examples, changes=changes)
        return app

    return declare


def declared_as(
    function: Callable[..., Any], parameters: list[inspect.Parameter], doc: str | None
) -> Callable[..., Any]:
    """`function`, read by Typer as if it were written with these parameters."""
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in parameters}
    function.__doc__ = doc
    return function


CONTEXT: Final = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)


def _add(
    app: typer.Typer, name: str, body: Body, *, examples: str, changes: bool, mints: bool = False, toml: bool = False
) -> None:
    def command(ctx: typer.Context, **values: Any) -> None:
        options = options_from(values).over(ctx.meta.get(EARLIER, Options()))
        if options.format is Format.SECRET and not mints:
            raise UsageError("-o secret is for commands that make a key's secret", hint="gwctl help formats")
        if options.format is Format.TOML and not toml:
            raise UsageError("-o toml is for commands that write a file", hint="gwctl help formats")
        with Session(ctx.find_root().obj, options, ctx.command_path) as session:
            try:
                body(session, **values)
            except BrokenPipeError:
                raise OutputClosed from None

    hints = typing.get_type_hints(body, include_extras=True)
    own = [
        p.replace(annotation=hints[p.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for p in list(inspect.signature(body).parameters.values())[1:]
    ]
    declared_as(command, [CONTEXT, *own, *shared_parameters(changes=changes, own=own)], inspect.getdoc(body))
    app.command(name, cls=Verb, epilog=_lines(examples))(command)


def _help_when_alone(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        ctx.obj.streams.stdout.write(ctx.get_help() + "\n")


def _lines(examples: str) -> str:
    return inspect.cleandoc(examples)
