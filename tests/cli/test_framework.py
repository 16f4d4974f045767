"""The command line's manners: overview, help, formats, colours, streams, speed of loading."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from keyvault.errors import Exit
from opsconsole.cli import commands as every_command
from opsconsole.cli.main import NAMES, program
from opsconsole.cli.topics import TOPICS
from tests.cli.conftest import Gwctl


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command of the tree, with the words that lead to it."""
    command = command or typer.main.get_command(program())
    context = typer.Context(command)
    if not hasattr(command, "list_commands"):
        yield path, command
        return
    for name in command.list_commands(context):
        yield from commands(command.get_command(context, name), (*path, name))


TREE = dict(commands())


PROMISED = {
    "audit": "list show verify anchor export",
    "vault": "status unlock change-passphrase test-recovery rotate-data rotate-pepper reseal",
    "vault slots": "list create delete",
    "upstreams": "create list show test disable enable delete presets rotate promote retire",
    "upstreams credentials": "list create update delete",
    "alerts": "list resolve test",
    "balances": "list show top-up adjust release update history verify reseal",
    "budgets": "set list show delete",
    "captures": "start list show export stop delete",
    "check": "run list show delete",
    "compare": "run show list review delete",
    "customers": "create list show update delete",
    "drill": "run start stop list show",
    "projects": "create list show update delete",
    "limits": "set list show delete",
    "keys": "create list show update rotate revoke suspend resume delete restore "
    "verify acknowledge adopt end-grace extend-grace export import identify scan",
    "readiness": "init run show list delete",
    "replay": "run list show delete diff",
    "rollouts": "start list status advance pause resume rollback finish",
    "routes": "set list show delete history init plan apply rollback diff health test",
    "prices": "update set list show",
    "workers": "list",
    "usage": "show tail request report export reconcile reprice",
    "statements": "create list show export credit adjust verify",
    "backup": "create verify",
    "db": "status migrate",
    "import": "litellm one-api",
    "objects": "list assign forget",
    "rotation": "install",
    "": "init serve console top demo doctor restore completion help version suspend resume apply",
}


def test_the_commands_the_product_promises_are_all_there() -> None:
    promised = {f"{noun} {verb}".strip() for noun, verbs in PROMISED.items() for verb in verbs.split()}
    assert {" ".join(path) for path in TREE} == promised


@pytest.mark.parametrize("path", TREE, ids=" ".join)
def test_every_command_has_help_with_an_example_of_itself(nowhere: Gwctl, path: tuple[str, ...]) -> None:
    ran = nowhere(*path, "--help")
    assert ran.code == 0
    summary, _, rest = ran.out.partition("\n\n")
    assert summary[0].isupper()
    assert rest.startswith("Examples:\n")
    assert f"gwctl {' '.join(path)}" in rest.partition("Usage:")[0]
    assert nowhere("help", *path).out == ran.out


@pytest.mark.parametrize("path", TREE, ids=" ".join)
def test_no_option_takes_a_secret_as_its_value(path: tuple[str, ...]) -> None:
    for param in TREE[path].params:
        if param.param_type_name == "option" and not param.is_flag:
            assert not {"secret", "passphrase", "password", "api_key", "token"} & {param.name}


@pytest.mark.parametrize("path", TREE, ids=" ".join)
def test_what_all_commands_take_is_taken_after_the_verb(path: tuple[str, ...]) -> None:
    taken = {name for param in TREE[path].params for name in param.opts}
    assert {"-o", "--output", "--json", "--no-input", "--yes", "--debug", "--color"} <= taken


CHANGING = ("create", "update", "set", "delete", "rotate", "revoke", "suspend", "resume", "disable", "enable", "init")


@pytest.mark.parametrize("path", [path for path in TREE if path[-1] in CHANGING], ids=" ".join)
def test_everything_that_changes_something_has_a_dry_run(path: tuple[str, ...]) -> None:
    assert any("--dry-run" in param.opts for param in TREE[path].params)


def test_alone_it_prints_an_overview_and_three_lines_where_nothing_is_set_up(nowhere: Gwctl) -> None:
    ran = nowhere()
    assert ran.code == 0
    assert all(f"\n  {name} " in ran.out for name in NAMES)
    missing, run, where = ran.err.splitlines()
    assert "no gateway is set up" in missing
    assert run.endswith("gwctl init")
    assert str(nowhere.home) in where


def test_the_first_command_says_in_three_lines_what_is_missing(nowhere: Gwctl) -> None:
    ran = nowhere("keys", "list")
    assert ran.code == Exit.NOT_FOUND
    assert len(ran.err.splitlines()) == 3
    assert "gwctl init" in ran.err
    assert not nowhere.home.exists()


def test_options_work_before_and_after_the_verb(nowhere: Gwctl) -> None:
    assert (
        nowhere("--json", "version").json == nowhere("version", "--json").json == nowhere("version", "-o", "json").json
    )


def test_a_noun_alone_lists_its_verbs(nowhere: Gwctl) -> None:
    ran = nowhere("keys")
    assert ran.code == 0
    assert "\n  rotate " in ran.out
    assert "\n  rotate " in nowhere("keys", "-h").out


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_has_a_text(nowhere: Gwctl, topic: str) -> None:
    ran = nowhere("help", topic)
    assert ran.code == 0
    assert len(ran.out) > 100


def test_the_exit_codes_are_all_explained(nowhere: Gwctl) -> None:
    told = {int(line.split()[0]) for line in nowhere("help", "exit-codes").out.splitlines()}
    assert told == {int(code) for code in Exit}


def test_typer_never_shows_locals() -> None:
    app = program()
    assert app.pretty_exceptions_show_locals is False
    assert app.pretty_exceptions_enable is False


@pytest.mark.parametrize(
    ("words", "environ", "coloured"),
    [
        ((), {}, False),
        ((), {"TERM": "xterm"}, True),
        ((), {"TERM": "xterm", "NO_COLOR": "1"}, False),
        ((), {"TERM": "dumb", "FORCE_COLOR": "1"}, True),
        (("--color", "never"), {"TERM": "xterm", "FORCE_COLOR": "1"}, False),
        (("--color", "always"), {"TERM": "dumb", "NO_COLOR": "1"}, True),
    ],
)
def test_colour_follows_the_option_then_the_environment_then_the_terminal(
    nowhere: Gwctl, words: tuple[str, ...], environ: dict[str, str], coloured: bool
) -> None:
    assert ("\x1b[" in nowhere("version", *words, terminal=True, environ=environ).out) is coloured


LAZY = (
    "textual",
    "pydantic",
    "rich",
    "sqlalchemy.orm",
    "sqlalchemy.dialects.postgresql",
    "genai_prices",
    "keyring",
    "httpx",
    "alembic",
    "opsconsole.tui",
    "uvloop",
)


def loaded_after(*words: str, environ: dict[str, str]) -> set[str]:
    """Names of the modules that a command line loads, in a process of its own."""
    script = (
        "import json, sys, io\n"
        "from opsconsole.cli.main import run\n"
        "from opsconsole.cli.io import Streams\n"
        f"code = run({list(words)!r}, streams=Streams(io.StringIO(), io.StringIO(), io.StringIO()))\n"
        "assert code == 0, code\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_help_loads_nothing_heavy(nowhere: Gwctl) -> None:
    loaded = loaded_after("--help", environ=nowhere.environ)
    assert not loaded & {*LAZY, "sqlalchemy", "cryptography", "msgspec", "tomllib", "opsconsole.cli.commands.keys"}


def test_listing_keys_loads_only_what_it_needs(gwctl: Gwctl) -> None:
    loaded = loaded_after("keys", "list", environ=gwctl.environ)
    assert "sqlalchemy" in loaded
    others = {"keyvault.domain.reports", "opsconsole.cli.commands.usage", "opsconsole.cli.commands.keys.creating"}
    changing = {"keyvault.audit", "keyvault.keys.lifecycle", "keyvault.vault.vault", "keyvault.vault.seals"}
    assert not loaded & {*LAZY, *others, *changing, "cryptography", "msgspec"}


def test_every_verb_is_declared_in_the_module_that_its_noun_names() -> None:
    for module in pkgutil.walk_packages(every_command.__path__, f"{every_command.__name__}."):
        importlib.import_module(module.name)  # which refuses a verb whose noun does not name it, or names another place


def test_serving_does_not_load_rich(nowhere: Gwctl) -> None:
    script = "import sys; from opsconsole.cli.commands.serve import lean_server; lean_server(); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], env=nowhere.environ, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "structlog" in loaded
    assert not loaded & {"rich", "pygments"}


def test_completing_a_name_does_not_load_sqlalchemy(gwctl: Gwctl) -> None:
    loaded = loaded_after("__complete", "keys", "show", "", environ=gwctl.environ)
    assert not loaded & {*LAZY, "sqlalchemy", "cryptography"}
