"""How commands are declared: a noun holds verbs; a verb is a function of a `Session` and its own options.

Each verb also takes the options all commands share, after the verb, as people type them. Help shows examples first.
"""

from __future__ import annotations

import difflib
import inspect
import typing
from collections.abc import Callable
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from keyvault.errors import UsageError
from opsconsole.cli.completion import names_in
from opsconsole.cli.output import Format
from opsconsole.cli.session import COLORS, Options, Session, options_from

Body = Callable[..., None]


class OutputClosed(Exception):
    """Whoever read stdout has gone."""


_FORMATS: Final = ("table", "json", "jsonl", "csv", "name")


def _worded(*names: str, metavar: str, help: str, words: tuple[str, ...]) -> Any:  # noqa: A002 - Typer's name for it
    option = typer.Option(*names, metavar=metavar, help=help, autocompletion=names_in(words))
    return Annotated[str | None, option]


SHARED: Final[dict[str, tuple[Any, Any]]] = {
    "output": (
        _worded("-o", "--output", metavar="FORMAT", help="table, json, jsonl, csv or name.", words=_FORMATS),
        None,
    ),
    "json": (Annotated[bool, typer.Option("--json", help="The same as -o json.")], False),
    "no_input": (Annotated[bool, typer.Option("--no-input", help="Never ask, as if nobody were there.")], False),
    "yes": (Annotated[bool, typer.Option("--yes", "-y", help="Answer the confirmation with yes.")], False),
    "color": (_worded("--color", metavar="WHEN", help="auto, always or never.", words=COLORS), None),
    "debug": (Annotated[bool, typer.Option("--debug", help="Show where an unexpected error came from.")], False),
}
DRY_RUN: Final = (Annotated[bool, typer.Option("--dry-run", help="Show what would happen and change nothing.")], False)


class AsTyped:
    """Takes texts and flags as they were typed. Typer's own way to a value loads Pydantic, which costs 70 ms and has
    nothing to do for them; a Typer that does not know `_runtime_param` merely takes that way."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        return (() if param.multiple or param.nargs == -1 else None) if value is None else value


class Ours:
    """What all our commands have in common: texts are taken as typed, help is printed where the run's data goes."""

    params: list[Any]

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for param in self.params:
            descriptor = getattr(param, "type_descriptor", None)
            if getattr(descriptor, "annotation", None) in (str, bool, list[str]):
                param._runtime_param = AsTyped()

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)  # type: ignore[misc]
        if option is not None:
            option.callback = _print_help
            option._runtime_param = AsTyped()
        return option


class Verb(Ours, TyperCommand):
    """A command whose help begins with what it does and examples. Its examples travel as the epilog."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        summary, _, more = (self.help or "").strip().partition("\n\n")
        formatter.write(f"{summary}\n")
        _write_examples(self.epilog, formatter)
        formatter.write(f"\n{more}\n\n" if more else "\n")
        self.format_usage(ctx, formatter)
        self.format_options(ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except typer.TyperException as error:
            if getattr(error, "ctx", None) is None:  # the option parser's errors do not say where they happened
                error.ctx = ctx  # type: ignore[attr-defined]
            raise

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        arguments = [param for param in self.get_params(ctx) if param.param_type_name == "argument"]
        return [*(_usage_piece(argument) for argument in arguments), "[OPTIONS]"]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": [], "Options of every command": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if param.param_type_name == "argument":
                sections["Arguments"].append((_usage_piece(param), getattr(param, "help", None) or ""))
            elif record is not None:
                shared = param.name in SHARED or param.name == "help"
                sections["Options of every command" if shared else "Options"].append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class Nouns(Ours, TyperGroup):
    """A group whose help names its verbs, then examples; alone it prints that help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(f"{(self.help or '').strip()}\n")
        _write_examples(self.epilog, formatter)
        self.format_commands(ctx, formatter)
        formatter.write(f"\nEach has examples: {ctx.command_path} {self.list_commands(ctx)[0]} --help\n")

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        known = self.list_commands(ctx)
        if args[0] not in known and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise unknown_command(ctx.command_path, args[0], known)
        return super().resolve_command(ctx, args)


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

    def verb(self, name: str, *, examples: str, changes: bool = False, mints: bool = False) -> Callable[[Body], Body]:
        """Declare a verb; the function's docstring is its help.

        `changes`: it takes `--dry-run`. `mints`: it makes a key's secret, so `-o secret` has a meaning.
        """

        def declare(body: Body) -> Body:
            _add(self.app, name, body, examples=examples, changes=changes, mints=mints)
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
        _add(app, name, body, examples=examples, changes=changes, mints=False)
        return app

    return declare


def shared_parameters(*, changes: bool) -> list[inspect.Parameter]:
    declared = {**SHARED, "dry_run": DRY_RUN} if changes else SHARED
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in declared.items()
    ]


def declared_as(
    function: Callable[..., Any], parameters: list[inspect.Parameter], doc: str | None
) -> Callable[..., Any]:
    """`function`, read by Typer as if it were written with these parameters."""
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in parameters}
    function.__doc__ = doc
    return function


EARLIER: Final = "gwctl.options"
"""Where a context keeps the shared options written before the noun."""

CONTEXT: Final = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)


def _add(app: typer.Typer, name: str, body: Body, *, examples: str, changes: bool, mints: bool) -> None:
    def command(ctx: typer.Context, **values: Any) -> None:
        options = options_from(values).over(ctx.meta.get(EARLIER, Options()))
        if options.format is Format.SECRET and not mints:
            raise UsageError("-o secret is for commands that make a key's secret", hint="gwctl help formats")
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
    app.command(name, cls=Verb, epilog=_lines(examples))(command)


def unknown_command(path: str, typed: str, known: list[str]) -> UsageError:
    """The error for a word that is no command, naming the nearest one."""
    near = difflib.get_close_matches(typed, known, n=1)
    hint = f"did you mean: {path} {near[0]}" if near else f"{path} --help"
    return UsageError(f"no such command: {path} {typed[:40]}", hint=hint)


def _usage_piece(argument: Any) -> str:
    name = f"{argument.metavar or argument.name.upper()}{'...' if argument.nargs != 1 else ''}"
    return name if argument.required else f"[{name}]"


def _help_when_alone(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        ctx.obj.streams.stdout.write(ctx.get_help() + "\n")


def _print_help(ctx: typer.Context, _option: Any, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        ctx.obj.streams.stdout.write(ctx.get_help() + "\n")
        ctx.exit()


def _lines(examples: str) -> str:
    return inspect.cleandoc(examples)


def _write_examples(examples: str | None, formatter: Any) -> None:
    if examples:
        formatter.write("\nExamples:\n" + "".join(f"  {line}\n" for line in examples.splitlines()))
