"""How commands parse what was typed and how their help reads: Typer's own classes, bent to the house's rules.

Help shows what a command does and examples first. An error knows the command it happened in.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from keyvault.errors import UsageError
from opsconsole.cli.shared import SHARED

_BELOW_ZERO: Final = re.compile(r"-[$.0-9]")
_MINUS: Final = "\N{MINUS SIGN}"
"""What stands for a number's hyphen while options are looked for."""
_TAKEN_FOR_BELOW_ZERO: Final = re.compile(f"{_MINUS}(?=[$.0-9])")


class AsTyped:
    """Takes texts and flags as they were typed. Typer's own way to a value loads Pydantic, which costs 70 ms and has
    nothing to do for them; a Typer that does not know `_runtime_param` merely takes that way."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        return with_hyphen(value) if isinstance(value, str) else value


class Number:
    """Reads a number within an option's bounds, and says what is wrong in our words instead of a validator's."""

    def __init__(self, kind: type[int] | type[float], least: float | None, most: float | None) -> None:
        self._kind = kind
        self._least = least
        self._most = most

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        if value is None:
            return None
        try:
            number = self._kind(with_hyphen(str(value)))
        except ValueError:
            what = "whole number" if self._kind is int else "number"
            raise typer.BadParameter(f"not a {what}: {with_hyphen(str(value))[:40]!a}", ctx=ctx, param=param) from None
        if self._least is not None and not number >= self._least:
            raise typer.BadParameter(f"must be at least {self._least}", ctx=ctx, param=param)
        if self._most is not None and not number <= self._most:
            raise typer.BadParameter(f"must be at most {self._most}", ctx=ctx, param=param)
        return number


class Ours:
    """What all our commands have in common: texts are taken as typed, help is printed where the run's data goes."""

    params: list[Any]

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for param in self.params:
            descriptor: Any = getattr(param, "type_descriptor", None)
            kind = getattr(descriptor, "annotation", None)
            if kind in (str, bool, list[str]):
                param._runtime_param = AsTyped()
            elif kind in (int, float):
                info = descriptor.parameter_info
                param._runtime_param = Number(kind, info.min, info.max)

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)  # type: ignore[misc]
        if option is not None:
            option.callback = print_help
            option._runtime_param = AsTyped()
        return option


class Verb(Ours, TyperCommand):
    """A command whose help begins with what it does and examples. Its examples travel as the epilog.

    An option whose metavar stands in brackets, as `--wait [SECONDS]`, takes the number that follows it, or is given
    bare and then has the value `""`. Where an argument is a number or an amount of USD, one below zero is its value and
    no option, so that what is said of it is about the amount; it may be written in any place.
    """

    def format_help(self, ctx: Any, formatter: Any) -> None:
        summary, _, more = (self.help or "").strip().partition("\n\n")
        formatter.write(f"{summary}\n")
        write_examples(self.epilog, formatter)
        formatter.write(f"\n{more}\n\n" if more else "\n")
        self.format_usage(ctx, formatter)
        self.format_options(ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        may_be_bare = {
            name for p in self.params if (p.metavar or "").startswith("[") for name in p.opts if name.startswith("-")
        }
        if any(map(_is_number, self.params)):
            args = [_MINUS + word[1:] if _BELOW_ZERO.match(word) else word for word in args]
        try:
            return super().parse_args(ctx, with_bare_options(args, may_be_bare) if may_be_bare else args)
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

    commands: Any

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(f"{(self.help or '').strip()}\n")
        write_examples(self.epilog, formatter)
        self.format_commands(ctx, formatter)
        formatter.write(f"\nEach has examples: {ctx.command_path} {self.list_commands(ctx)[0]} --help\n")

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        known = self.list_commands(ctx)
        if args[0] not in known and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise unknown_command(ctx.command_path, args[0], known)
        return super().resolve_command(ctx, args)


def with_usual_verb(verb: str, *, alone: bool = False) -> type[Nouns]:
    """A group that takes words which name none of its verbs as said of this one: `gwctl backup FILE`. `alone`: also
    no words, where it is not asked for help: `gwctl check`."""

    class Usual(Nouns):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            first = next((word for word in args if word == "-" or not word.startswith("-")), None)
            meant = (
                alone and not {"-h", "--help"} & set(args) if first is None else first not in self.list_commands(ctx)
            )
            if meant:
                args = [verb, *args]
            return super().parse_args(ctx, args)

    return Usual


def with_bare_options(args: list[str], names: Collection[str]) -> list[str]:
    """The same words, an option of these `names` without a number behind it given an empty value."""
    written = list(args)
    for place, word in enumerate(args):
        if word == "--":
            break
        follows = args[place + 1] if place + 1 < len(args) else ""
        if word in names and not follows.replace(".", "", 1).isdecimal():
            written[place] = f"{word}="
    return written


def with_hyphen(value: str) -> str:
    """A number below zero as it was typed."""
    return _TAKEN_FOR_BELOW_ZERO.sub("-", value, count=1) if value[:1] == _MINUS else value


def _is_number(param: Any) -> bool:
    argument = param.param_type_name == "argument"
    return argument and ("USD" in (param.metavar or "") or isinstance(getattr(param, "_runtime_param", None), Number))


def unknown_command(path: str, typed: str, known: list[str]) -> UsageError:
    """The error for a word that is no command, naming the nearest one."""
    near = difflib.get_close_matches(typed, known, n=1)
    hint = f"did you mean: {path} {near[0]}" if near else f"{path} --help"
    return UsageError(f"no such command: {path} {typed[:40]}", hint=hint)


def _usage_piece(argument: Any) -> str:
    name = f"{argument.metavar or argument.name.upper()}{'...' if argument.nargs != 1 else ''}"
    return name if argument.required else f"[{name}]"


def print_help(ctx: typer.Context, _option: Any, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        ctx.obj.streams.stdout.write(ctx.get_help() + "\n")
        ctx.exit()


def write_examples(examples: str | None, formatter: Any) -> None:
    if examples:
        formatter.write("\nExamples:\n" + "".join(f"  {line}\n" for line in examples.splitlines()))
