"""How commands are declared: a noun holds verbs; a verb is a function of a `Session` and its own options.

Each verb also takes the options all commands share; it gets them through its session.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Sequence
from typing import Any, Final

import typer

from keyvault.errors import UsageError
from opsconsole.cli.grammar import Nouns, Verb
from opsconsole.cli.io import OutputClosed
from opsconsole.cli.output import RARE, Format
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
        self, name: str, *, examples: str, changes: bool = False, also: Sequence[Format] = ()
    ) -> Callable[[Body], Body]:
        """Declare a verb; the function's docstring is its help.

        `changes`: it takes `--dry-run`. `also`: forms that have a meaning for it beside the common ones.
        """

        def declare(body: Body) -> Body:
            _add(self.app, name, body, examples=examples, changes=changes, also=also)
            return body

        return declare

    def add(self, noun: Noun) -> None:
        """Put a noun below this one, as `slots` below `vault`."""
        self.app.add_typer(noun.app)


def single(
    name: str, *, examples: str, changes: bool = False, also: Sequence[Format] = ()
) -> Callable[[Body], typer.Typer]:
    """Declare a command that has no noun, such as `init`; what it decorates becomes its app. `also`: as of a verb."""

    def declare(body: Body) -> typer.Typer:
        app = typer.Typer(
            rich_markup_mode=None,
            add_completion=False,
            pretty_exceptions_enable=False,
            pretty_exceptions_show_locals=False,
        )
        _add(app, name, body, examples=examples, changes=changes, also=also)
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


def _add(app: typer.Typer, name: str, body: Body, *, examples: str, changes: bool, also: Sequence[Format] = ()) -> None:
    def command(ctx: typer.Context, **values: Any) -> None:
        options = options_from(values).over(ctx.meta.get(EARLIER, Options()))
        if options.format in RARE and options.format not in also:
            raise UsageError(f"-o {options.format} is for {RARE[options.format]}", hint="gwctl help formats")
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
    declared_as(command, [CONTEXT, *own, *shared_parameters(changes=changes, own=own, also=also)], inspect.getdoc(body))
    app.command(name, cls=Verb, epilog=_lines(examples))(command)


def _help_when_alone(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        ctx.obj.streams.stdout.write(ctx.get_help() + "\n")


def _lines(examples: str) -> str:
    return inspect.cleandoc(examples)
