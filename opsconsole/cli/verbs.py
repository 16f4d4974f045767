"""How commands are declared: a noun holds verbs; a verb is a function of a `Session` and its own options.

Each verb also takes the options all commands share, after the verb, as people type them. Help shows examples first.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from opsconsole.cli.output import Format
from opsconsole.cli.session import Options, Session, options_from

Body = Callable[..., None]


class When(StrEnum):
    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class OutputClosed(Exception):  # noqa: N818
    """Whoever read stdout has gone."""


SHARED: Final[dict[str, tuple[Any, Any]]] = {
    "output": (
        Annotated[Format | None, typer.Option("-o", "--output", metavar="FORMAT", help="table, json, jsonl, csv or name.")],
        None,
    ),
    "json": (Annotated[bool, typer.Option("--json", help="The same as -o json.")], False),
    "no_input": (Annotated[bool, typer.Option("--no-input", help="Never ask, as if nobody were there.")], False),
    "yes": (Annotated[bool, typer.Option("--yes", "-y", help="Answer the confirmation with yes.")], False),
    "color": (Annotated[When | None, typer.Option("--color", metavar="WHEN", help="auto, always or never.")], None),
    "debug": (Annotated[bool, typer.Option("--debug", help="Show where an unexpected error came from.")], False),
}
DRY_RUN: Final = (Annotated[bool, typer.Option("--dry-run", help="Show what would happen and change nothing.")], False)


class Verb(TyperCommand):
    """A command whose help begins with what it does and examples. Its examples travel as the epilog."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(f"{(self.help or '').strip()}\n")
        _write_examples(self.epilog, formatter)
        formatter.write("\n")
        self.format_usage(ctx, formatter)
        self.format_options(ctx, formatter)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": [], "Options of every command": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            shared = param.name in SHARED or param.name == "help"
            kind = "Arguments" if param.param_type_name == "argument" else "Options of every command" if shared else "Options"
            if record is not None:
                sections[kind].append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class Nouns(TyperGroup):
    """A group whose help names its verbs, then examples; alone it prints that help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(f"{(self.help or '').strip()}\n")
        self.format_commands(ctx, formatter)
        _write_examples(self.epilog, formatter)


class Noun:
    """The verbs of one noun."""

    def __init__(self, name: str, summary: str, *, examples: str) -> None:
        self.app = typer.Typer(
            name=name,
            cls=Nouns,
            help=summary,
            epilog=_lines(examples),
            rich_markup_mode=None,
            add_completion=False,
            pretty_exceptions_enable=False,
            pretty_exceptions_show_locals=False,
        )
        self.app.callback(invoke_without_command=True)(_help_when_alone)

    def verb(self, name: str, *, examples: str, changes: bool = False, hidden: bool = False) -> Callable[[Body], Body]:
        """Declare a verb; the function's docstring is its help. `changes`: it takes `--dry-run`."""

        def declare(body: Body) -> Body:
            _add(self.app, name, body, examples=examples, changes=changes, hidden=hidden)
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
        _add(app, name, body, examples=examples, changes=changes, hidden=False)
        return app

    return declare


def shared_parameters(*, changes: bool) -> list[inspect.Parameter]:
    declared = {**SHARED, "dry_run": DRY_RUN} if changes else SHARED
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in declared.items()
    ]


def declared_as(function: Callable[..., Any], parameters: list[inspect.Parameter], doc: str | None) -> Callable[..., Any]:
    """`function`, read by Typer as if it were written with these parameters."""
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in parameters}
    function.__doc__ = doc
    return function


EARLIER: Final = "gwctl.options"
"""Where a context keeps the shared options written before the noun."""

CONTEXT: Final = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)


def _add(app: typer.Typer, name: str, body: Body, *, examples: str, changes: bool, hidden: bool) -> None:
    def command(ctx: typer.Context, **values: Any) -> None:
        options = options_from(values).over(ctx.meta.get(EARLIER, Options()))
        with Session(ctx.find_root().obj, options) as session:
            try:
                body(session, **values)
            except BrokenPipeError:
                raise OutputClosed from None

    hints = typing.get_type_hints(body, include_extras=True)
    own = [
        p.replace(annotation=hints[p.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for p in list(inspect.signature(body).parameters.values())[1:]
    ]
    declared_as(command, [CONTEXT, *own, *shared_parameters(changes=changes)], inspect.getdoc(body))
    app.command(name, cls=Verb, epilog=_lines(examples), hidden=hidden)(command)


def _help_when_alone(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


def _lines(examples: str) -> str:
    return inspect.cleandoc(examples)


def _write_examples(examples: str | None, formatter: Any) -> None:
    if examples:
        formatter.write("\nExamples:\n" + "".join(f"  {line}\n" for line in examples.splitlines()))

