"""`gwctl` and `opsconsole`: finds the command, loads only its module, runs it, turns errors into exit codes.

Nothing heavy is imported here: `gwctl --help` reads the table below; a command's module is loaded when it is used.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import typer
from typer.core import TyperGroup

from opsconsole.cli.completion import HIDDEN_COMMAND, candidates
from opsconsole.cli.errors import guarded
from opsconsole.cli.grammar import Ours, unknown_command
from opsconsole.cli.io import IO, Streams
from opsconsole.cli.session import NothingSetUp, Session, Surroundings
from opsconsole.cli.shared import EARLIER, options_from, shared_parameters
from opsconsole.cli.verbs import CONTEXT, declared_as

if TYPE_CHECKING:
    from keyvault.clock import Clock

COMMANDS: Final[dict[str, dict[str, str]]] = {
    "Begin": {
        "init": "Set up a gateway: vault, database, prices.",
        "demo": "See it work: simulated providers, real proxy, console.",
        "doctor": "Check everything that can be wrong.",
    },
    "Run": {
        "serve": "Run the proxy.",
        "console": "Watch and operate the gateway in the terminal.",
        "top": "What is being used now, line by line.",
        "workers": "Proxy processes that run.",
        "suspend": "Refuse a customer, a project, a key or everybody.",
        "resume": "Undo a suspension.",
    },
    "Manage": {
        "upstreams": "Provider accounts and their credentials.",
        "keys": "Keys that applications call the gateway with.",
        "rotation": "Rotating keys at night, by cron or systemd.",
        "customers": "Who pays.",
        "projects": "What for.",
        "objects": "Who owns what is stored at providers.",
        "apply": "Customers, projects and keys as a file says.",
        "import": "Upstreams, routes and keys of another gateway.",
        "routes": "Which targets serve which model name.",
        "rollouts": "New targets on a small, watched share of requests.",
        "prices": "What models cost, with effective dates.",
        "balances": "Prepaid money of customers and projects.",
        "budgets": "What may be spent each hour, day, week or month.",
        "limits": "How many requests and tokens a minute, and at once.",
        "usage": "Requests, tokens, cost and charge.",
        "statements": "Closed months of customers, and credit notes.",
        "alerts": "What went wrong where nobody was looking.",
        "audit": "Who changed what, and whether the log of it is whole.",
        "vault": "How the vault opens.",
    },
    "Prove": {
        "check": "Whether a gateway behaves like the API behind it.",
        "captures": "Real requests and answers, kept whole and sealed.",
        "compare": "The same prompts to several models, and what the differences are worth.",
        "replay": "Real requests of the past once more: what breaks, what it costs.",
        "drill": "Break one target for one key, and see what comes of it.",
        "readiness": "Whether an alias is ready for production: six steps, one verdict.",
    },
    "Keep": {
        "backup": "The whole home in one file, verified.",
        "restore": "Put a backup in place, without reviving what was denied.",
        "db": "The database's schema.",
    },
    "More": {
        "completion": "Print a completion script for bash, zsh or fish.",
        "help": "Topics: environment, formats, exit-codes, settings, headers.",
        "version": "Print the version.",
    },
}
"""Section → command → summary. Each command's module is `commands/<name>.py`, whose `app` makes it."""

MODULES: Final = {"import": "import_"}
"""Commands whose name no module may have."""

NAMES: Final = tuple(name for section in COMMANDS.values() for name in section)

YOUNG_OBJECTS: Final = 50_000
"""How many new objects are looked through for garbage at once; `serve` sets its own."""

EXAMPLES: Final = """\
Start:
  gwctl init
  gwctl upstreams create openai --provider openai
  gwctl keys create ci-bot
  gwctl serve
"""


class Program(Ours, TyperGroup):
    """The root of all commands."""

    summaries = {name: text for section in COMMANDS.values() for name, text in section.items()}  # noqa: RUF012

    def list_commands(self, ctx: Any) -> list[str]:
        return list(NAMES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in NAMES:
            return None
        module = importlib.import_module(f"opsconsole.cli.commands.{MODULES.get(cmd_name, cmd_name)}")
        command = module.app.command()
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in NAMES and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise unknown_command("gwctl", args[0], list(NAMES))
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write("An OpenAI-compatible gateway, run from a terminal.\n\n" + EXAMPLES)
        for section, commands in COMMANDS.items():
            with formatter.section(section):
                formatter.write_dl(list(commands.items()))
        formatter.write("\nEach command has examples: gwctl keys --help\n")


def _root(ctx: typer.Context, **values: Any) -> None:
    """Remember the options written before the noun; alone, print the overview and what is missing."""
    options = options_from(values)
    ctx.meta[EARLIER] = options
    if ctx.invoked_subcommand is None:
        ctx.obj.streams.stdout.write(ctx.get_help() + "\n")
        with Session(ctx.obj, options) as session:
            if not session.unopened_home.exists:
                for line in NothingSetUp(session.unopened_home).lines:
                    session.io.note(line)


def program() -> typer.Typer:
    """The root Typer app, with nothing loaded below it."""
    app = typer.Typer(
        cls=Program,
        invoke_without_command=True,
        rich_markup_mode=None,
        add_completion=False,
        pretty_exceptions_enable=False,
        pretty_exceptions_show_locals=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )
    app.callback()(declared_as(_root, [CONTEXT, *shared_parameters(changes=False)], None))
    return app


def run(
    argv: Sequence[str],
    environ: Mapping[str, str] = os.environ,
    streams: Streams | None = None,
    clock: Clock | None = None,
) -> int:
    """Run one command line; its exit code. Tests give their own environment, streams and clock."""
    surroundings = Surroundings(streams or Streams(), environ, clock)
    io = IO(surroundings.streams, environ)

    def command() -> Any:
        group = typer.main.get_command(program())
        if argv and argv[0] == HIDDEN_COMMAND:
            return _complete(group, surroundings, list(argv[1:]))
        return group.main(args=list(argv), prog_name="gwctl", standalone_mode=False, obj=surroundings)

    return guarded(command, io, debug="--debug" in argv)


def _complete(group: Any, surroundings: Surroundings, words: list[str]) -> None:
    for value, text in candidates(group, words, surroundings.environ):
        surroundings.streams.stdout.write(f"{value}\t{text}\n")


def main() -> None:
    """The `gwctl` script."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(_run_quickly(sys.argv[1:]))


def console_main() -> None:
    """The `opsconsole` script: the same as `gwctl console`."""
    sys.exit(_run_quickly(["console", *sys.argv[1:]]))


def _run_quickly(argv: Sequence[str]) -> int:
    """A command loads modules, does little and ends. To look for garbage among them, again and again while they load
    and once more at the exit, would take a quarter of its time."""
    gc.set_threshold(YOUNG_OBJECTS)
    code = run(argv)
    gc.freeze()
    return code
