"""What every command gets: the home's services, the terminal, and the options that all commands share.

The home is opened when a command first needs it, so that help, completion and `version` touch no file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from keyvault.errors import GatewayError, NotFound, UsageError
from opsconsole.cli.io import IO, Streams
from opsconsole.cli.output import Document, Format, Look, Row, json_line, rehearsed, render

if TYPE_CHECKING:
    from keyvault.clock import Clock
    from keyvault.home import Home


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run of the program stands in: the process's, or a test's."""

    streams: Streams
    environ: Mapping[str, str]
    clock: Clock | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """The options every command takes."""

    output: Format | None = None
    json: bool = False
    no_input: bool = False
    yes: bool = False
    debug: bool = False
    color: str | None = None
    dry_run: bool = False

    def over(self, earlier: Options) -> Options:
        """These, completed by what was written before the noun."""
        return Options(
            output=self.output or earlier.output,
            json=self.json or earlier.json,
            no_input=self.no_input or earlier.no_input,
            yes=self.yes or earlier.yes,
            debug=self.debug or earlier.debug,
            color=self.color or earlier.color,
            dry_run=self.dry_run or earlier.dry_run,
        )

    @property
    def format(self) -> Format:
        if not self.json:
            return self.output or Format.TABLE
        if self.output not in (None, Format.JSON, Format.JSONL):
            raise UsageError(f"--json and -o {self.output} ask for two things", hint="give one of them")
        return self.output or Format.JSON


class NothingSetUp(NotFound):
    """No gateway here yet: says what is missing, what to run, and where files will be."""

    code = "nothing_set_up"

    def __init__(self, home: Home) -> None:
        super().__init__("no gateway is set up here yet", hint="gwctl init")
        paths = home.paths
        self.where = str(paths.config.parent) if paths.one_roof else f"{paths.config}, {paths.data} and {paths.state}"

    @property
    def lines(self) -> tuple[str, str, str]:
        return (self.message, f"to set one up, run: {self.hint}", f"its files will be in {self.where}")


class Session:
    """One command's run. Use it as a context manager; it closes the home."""

    def __init__(self, surroundings: Surroundings, options: Options, command: str = "") -> None:
        """`command`: the words that name it, such as `gwctl keys rotate`."""
        self.command = command
        self.surroundings = surroundings
        self.options = options
        self.io = IO(
            surroundings.streams, surroundings.environ, color=options.color or "auto", no_input=options.no_input
        )

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        if "unopened_home" in self.__dict__:
            self._tell_of_journal(self.unopened_home)
            self.unopened_home.close()

    @cached_property
    def unopened_home(self) -> Home:
        """The home, whether or not anything is set up there."""
        from keyvault.home import Home

        prompt = self.io.ask_secret if self.io.can_ask else None
        return Home(self.surroundings.environ, self.surroundings.clock, prompt=prompt, command=self.command)

    @cached_property
    def home(self) -> Home:
        """The home; raises `NothingSetUp`. With `--dry-run` its database keeps nothing that is written."""
        home = self.unopened_home
        if not home.exists:
            raise NothingSetUp(home)
        if self.options.dry_run:
            home.database.rehearsal = True
        return home

    def set(self, setting: str, value: str) -> None:
        """Have a setting come from the command line, which comes before the environment. Call it before `home`."""
        assert "unopened_home" not in self.__dict__
        environ = {**self.surroundings.environ, "GWCTL_" + setting.upper().replace(".", "_"): value}
        self.surroundings = replace(self.surroundings, environ=environ)

    @property
    def dry_run(self) -> bool:
        return self.options.dry_run

    def confirm(self, question: str) -> None:
        """A moderate change: one question, unless `--yes` or `--dry-run`."""
        if not (self.options.yes or self.dry_run):
            self.io.confirm(question)

    def confirm_name(self, what: str, name: str, confirmed: str | None) -> None:
        """A severe change: the name typed or given by `--confirm NAME`, unless `--dry-run`."""
        if self.dry_run:
            return
        if confirmed is None:
            self.io.confirm_name(what, name)
        elif confirmed.casefold() != name.casefold():
            raise UsageError(f"--confirm {confirmed} does not name {name}", hint=f"--confirm {name}")

    def show(self, document: Document) -> None:
        """Print a document in the form asked for; it is delivered when this returns."""
        if self.dry_run:
            document = rehearsed(document)
        self.io.data(render(document, self.options.format, self.look()))

    def show_row(self, row: Row) -> None:
        """Print one row of a stream as a JSON line."""
        self.io.data(json_line(row))

    def changed(self, text: str) -> None:
        """Tell a person what was done; programs read the document instead."""
        if self.dry_run:
            self.io.note(f"dry run: {text}; nothing was changed")
        elif self.options.format is Format.TABLE:
            self.io.note(text)

    def _tell_of_journal(self, home: Home) -> None:
        """Say, once, that the journal had been cut and was filled again."""
        if "seals" not in vars(home) or (text := home.seals.journal.refilled) is None:
            return
        self.io.note(f"warning: {text}")
        with contextlib.suppress(GatewayError):
            home.alerts.raise_alert("tampered_database", "journal", text)

    def look(self) -> Look:
        if not self.io.on_terminal:
            return Look(paint=self.io.paint)
        return Look(now=self.unopened_home.clock.now(), width=self.io.width, paint=self.io.paint)
