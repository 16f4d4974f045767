"""The options that every command takes, after the verb, as people type them."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from keyvault.errors import UsageError
from opsconsole.cli.completion import names_in
from opsconsole.cli.output import COMMON, Format
from opsconsole.cli.session import Options

COLORS: Final = ("auto", "always", "never")


def _worded(*names: str, metavar: str, help: str, words: tuple[str, ...]) -> Any:  # noqa: A002 - Typer's name for it
    option = typer.Option(*names, metavar=metavar, help=help, autocompletion=names_in(words))
    return Annotated[str | None, option]


def _form(*names: str, also: Sequence[Format] = ()) -> tuple[Any, Any]:
    *words, last = map(str, (*COMMON, *also))
    return _worded(*names, metavar="FORMAT", help=f"{', '.join(words)} or {last}.", words=(*words, last)), None


SHARED: Final[dict[str, tuple[Any, Any]]] = {
    "output": _form("-o", "--output"),
    "json": (Annotated[bool, typer.Option("--json", help="The same as -o json.")], False),
    "no_input": (Annotated[bool, typer.Option("--no-input", help="Never ask, as if nobody were there.")], False),
    "yes": (Annotated[bool, typer.Option("--yes", "-y", help="Answer the confirmation with yes.")], False),
    "color": (_worded("--color", metavar="WHEN", help="auto, always or never.", words=COLORS), None),
    "debug": (Annotated[bool, typer.Option("--debug", help="Show where an unexpected error came from.")], False),
}
DRY_RUN: Final = (Annotated[bool, typer.Option("--dry-run", help="Show what would happen and change nothing.")], False)


EARLIER: Final = "gwctl.options"
"""Where a context keeps the shared options written before the noun."""


def shared_parameters(
    *, changes: bool, own: Sequence[inspect.Parameter] = (), also: Sequence[Format] = ()
) -> list[inspect.Parameter]:
    """The shared options beside a command's `own`; where a command means another thing by `--output`, `-o` remains."""
    declared = {**SHARED, "dry_run": DRY_RUN} if changes else dict(SHARED)
    taken = any(parameter.name == "output_" for parameter in own)
    if taken or also:
        declared["output"] = _form("-o", *(() if taken else ("--output",)), also=also)
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in declared.items()
    ]


def options_from(values: dict[str, Any]) -> Options:
    """Take the shared options out of a command's parsed values. Raises `UsageError` for words they do not know."""
    flags = {name: values.pop(name) for name in ("json", "no_input", "yes", "debug")}
    color = _one_of("--color", values.pop("color"), COLORS)
    output = _one_of("-o", values.pop("output"), tuple(Format))
    form = None if output is None else Format(output)
    dry_run = values.pop("dry_run", False)  # only commands that change something have it
    return Options(form, color=color, dry_run=dry_run, **flags)


def _one_of(option: str, word: str | None, known: tuple[str, ...]) -> str | None:
    if word is not None and word not in known:
        raise UsageError(f"{option}: no such choice: {word[:40]!a}", hint=f"one of {', '.join(known)}")
    return word
