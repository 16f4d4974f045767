"""How commands are declared: a noun holds verbs; a verb is a function of a `Session` and its own options.

Each verb also takes the options all commands share; it gets them through its session.
"""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import typer

from keyvault.errors import UsageError
from opsconsole.cli.grammar import Nouns, Verb
from opsconsole.cli.io import OutputClosed
from opsconsole.cli.output import RARE, Format
from opsconsole.cli.session import Options, Session
from opsconsole.cli.shared import EARLIER, options_from, shared_parameters

Body = Callable[..., None]

_PLAIN: Final[dict[str, Any]] = {
    "rich_markup_mode": None,
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "pretty_exceptions_show_locals": False,
}
"""How every Typer app is made: without Rich, which costs 80 ms."""


class Declared:
    """A command as it was declared. It is made when somebody asks for it: Typer looks closely at every parameter of
    what it makes, and of all the verbs of a noun a line uses one."""

    def __init__(self, name: str, body: Body, *, examples: str, changes: bool, also: Sequence[Format]) -> None:
        self._name = name
        self._body = body
        self._examples = examples
        self._changes = changes
        self._also = also

    def command(self) -> Any:
        """What Typer makes of it."""
        body, also = self._body, self._also

        def command(ctx: typer.Context, **values: Any) -> None:
            options = options_from(values).over(ctx.meta.get(EARLIER, Options()))
            if options.format in RARE and options.format not in also:
                raise UsageError(f"-o {options.format} is for {RARE[options.format]}", hint="gwctl help formats")
            with Session(ctx.find_root().obj, options, ctx.command_path) as session:
                try:
                    body(session, **values)
                except BrokenPipeError:
                    raise OutputClosed from None

        app = typer.Typer(**_PLAIN)
        own = _own(body)
        shared = shared_parameters(changes=self._changes, own=own, also=also)
        declared_as(command, [CONTEXT, *own, *shared], inspect.getdoc(body))
        app.command(self._name, cls=Verb, epilog=_lines(self._examples))(command)
        return typer.main.get_command(app)


class Noun:
    """The verbs of one noun, and the nouns below it."""

    def __init__(
        self,
        name: str,
        summary: str,
        *,
        examples: str,
        group: type[Nouns] = Nouns,
        modules: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """`modules`: where the verbs are of a noun that has too many for one module, in the package of its name. Each
        is loaded when one of its verbs is asked for."""
        self.name = name
        self._app = typer.Typer(name=name, cls=group, help=summary, epilog=_lines(examples), **_PLAIN)
        self._app.callback(invoke_without_command=True)(_help_when_alone)
        self._places = {verb: module for module, verbs in (modules or {}).items() for verb in verbs}
        self._declared: dict[str, Declared | Noun] = {}

    def verb(
        self, name: str, *, examples: str, changes: bool = False, also: Sequence[Format] = ()
    ) -> Callable[[Body], Body]:
        """Declare a verb; the function's docstring is its help.

        `changes`: it takes `--dry-run`. `also`: forms that have a meaning for it beside the common ones.
        """

        def declare(body: Body) -> Body:
            assert not self._places or body.__module__.endswith(f".{self._places.get(name)}"), f"{self.name} {name}"
            self._declared[name] = Declared(name, body, examples=examples, changes=changes, also=also)
            return body

        return declare

    def add(self, noun: Noun) -> None:
        """Put a noun below this one, as `slots` below `vault`."""
        self._declared[noun.name] = noun

    @property
    def verbs(self) -> Sequence[str]:
        """Their names, in the order of the help."""
        return tuple(self._places or self._declared)

    def declared(self, verb: str) -> Declared | Noun:
        """A verb, or the noun of that name below this one. Raises `KeyError`."""
        if verb in self._places:
            importlib.import_module(f"opsconsole.cli.commands.{self.name}.{self._places[verb]}")
        return self._declared[verb]

    def command(self) -> Any:
        """What Typer makes of it, without any verb."""
        group: Any = typer.main.get_command(self._app)
        group.commands = _Commands(self)
        return group


class _Commands(Mapping[str, Any]):
    """The commands of a noun's verbs, each made when it is looked up."""

    def __init__(self, noun: Noun) -> None:
        self._noun = noun

    def __getitem__(self, name: str) -> Any:
        return self._noun.declared(name).command()

    def __iter__(self) -> Iterator[str]:
        return iter(self._noun.verbs)

    def __len__(self) -> int:
        return len(self._noun.verbs)


def single(
    name: str, *, examples: str, changes: bool = False, also: Sequence[Format] = ()
) -> Callable[[Body], Declared]:
    """Declare a command that has no noun, such as `init`; what it decorates becomes its app. `also`: as of a verb."""
    return lambda body: Declared(name, body, examples=examples, changes=changes, also=also)


def declared_as(
    function: Callable[..., Any], parameters: list[inspect.Parameter], doc: str | None
) -> Callable[..., Any]:
    """`function`, read by Typer as if it were written with these parameters."""
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in parameters}
    function.__doc__ = doc
    return function


CONTEXT: Final = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)


def _own(body: Body) -> list[inspect.Parameter]:
    """The options and arguments that a verb declares itself."""
    hints = typing.get_type_hints(body, include_extras=True)
    return [
        p.replace(annotation=hints[p.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for p in list(inspect.signature(body).parameters.values())[1:]
    ]


def _help_when_alone(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        ctx.obj.streams.stdout.write(ctx.get_help() + "\n")


def _lines(examples: str) -> str:
    return inspect.cleandoc(examples)
