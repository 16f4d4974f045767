"""The one object that talks to the terminal: data to stdout, everything else to stderr, questions to a person.

Questions are asked only when stdin and stdout are terminals and `--no-input` was not given. A secret is read from a
prompt without echo, from stdin or from a file; it is never an option's value and never appears in a message.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TextIO

from keyvault.errors import GatewayError, UsageError
from keyvault.secrets import Secret
from opsconsole.cli.text import harmless

_HUES: Final = {"dim": "2", "bold": "1", "red": "31", "green": "32", "yellow": "33"}
_LARGEST_SECRET: Final = 64 * 1024


class Declined(GatewayError):
    """The person said no."""

    code = "declined"


class OutputClosed(Exception):
    """Whoever read stdout has gone."""


class ClosedOutput(io.StringIO):
    """Stands for a stdout that was closed before we began: nothing may be believed delivered to it."""

    def write(self, text: str) -> int:
        raise OSError(errno.EBADF, "stdout is closed")


@dataclass(frozen=True, slots=True)
class Streams:
    """The process's standard streams, or a test's. Python has None for those that were closed."""

    stdin: TextIO = field(default_factory=lambda: sys.stdin or io.StringIO())
    stdout: TextIO = field(default_factory=lambda: sys.stdout or ClosedOutput())
    stderr: TextIO = field(default_factory=lambda: sys.stderr or io.StringIO())


class IO:
    """Reads and writes for one command."""

    def __init__(
        self, streams: Streams, environ: Mapping[str, str], *, color: str = "auto", no_input: bool = False
    ) -> None:
        self.streams = streams
        self._environ = environ
        self._color = color
        self._no_input = no_input

    @property
    def on_terminal(self) -> bool:
        """Whether data goes to a person's screen."""
        return self.streams.stdout.isatty()

    @property
    def can_move(self) -> bool:
        """Whether the cursor of the screen can be moved."""
        return self.on_terminal and self._environ.get("TERM", "dumb") != "dumb"

    @property
    def can_ask(self) -> bool:
        return not self._no_input and self.streams.stdin.isatty() and self.streams.stdout.isatty()

    @property
    def width(self) -> int:
        return shutil.get_terminal_size().columns

    def data(self, text: str) -> None:
        """Write to stdout and flush, so that what comes after it may rely on its delivery."""
        self.streams.stdout.write(text)
        self.streams.stdout.flush()

    def note(self, text: str) -> None:
        """One line to stderr, prefixed with the program's name."""
        self.streams.stderr.write(f"gwctl: {harmless(text)}\n")
        self.streams.stderr.flush()

    def progress(self, what: str) -> Callable[[int, int], None]:
        """Tells a person how far long work is, on one line of stderr; silent where stderr is no terminal."""

        def tell(done: int, total: int) -> None:
            if self.streams.stderr.isatty() and total:
                end = "\n" if done >= total else ""
                self.streams.stderr.write(f"\rgwctl: {harmless(what)}: {done} of {total}{end}")
                self.streams.stderr.flush()

        return tell

    def paint(self, text: str, hue: str) -> str:
        """`text` in a hue, where stdout shows colours."""
        return f"\x1b[{_HUES[hue]}m{text}\x1b[0m" if self.colored else text

    @property
    def colored(self) -> bool:
        """`--color`, then NO_COLOR, then FORCE_COLOR, then a terminal whose TERM can."""
        if self._color != "auto":
            return self._color == "always"
        if self._environ.get("NO_COLOR"):
            return False
        if self._environ.get("FORCE_COLOR"):
            return True
        return self.on_terminal and self._environ.get("TERM", "dumb") != "dumb"

    def confirm(self, question: str) -> None:
        """Ask once, default No. Raises `Declined`, or `UsageError` where nobody can be asked."""
        if not self.can_ask:
            raise UsageError("--yes required when not interactive")
        if self._ask(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
            raise Declined("nothing was changed")

    def confirm_name(self, what: str, name: str) -> None:
        """Have the name typed. Raises `Declined`, or `UsageError` where nobody can be asked."""
        if not self.can_ask:
            raise UsageError(f"--confirm {name} required when not interactive")
        if self._ask(f"{what}\ntype {name} to go on: ").strip() != name:
            raise Declined("nothing was changed")

    def ask_secret(self, prompt: str, *, repeat: bool = False) -> Secret:
        """A secret typed without echo, twice with `repeat`. Raises `UsageError` when empty or not the same."""
        import getpass

        try:
            text = getpass.getpass(f"{prompt}: ")
            if repeat and getpass.getpass(f"{prompt}, again: ") != text:
                raise UsageError("the two were not the same; nothing was changed")
        except EOFError:
            raise Declined("nothing was changed") from None
        return _checked(text, "the prompt")

    def secret_from_stdin(self) -> Secret:
        return _checked(self.streams.stdin.read(_LARGEST_SECRET), "stdin")

    def secret_from_file(self, path: Path) -> Secret:
        """A file's text, or `UsageError`. Opened without waiting, so that a pipe nobody writes cannot hang."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb", closefd=True) as file:
                data = file.read(_LARGEST_SECRET)
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            hint = "name a file that holds the secret alone, or use --secret-stdin"
            raise UsageError(f"{path}: {reason}", hint=hint) from None
        return _checked((data or b"").decode("utf-8", "surrogateescape"), str(path))

    def _ask(self, question: str) -> str:
        self.streams.stderr.write(harmless_lines(question))
        self.streams.stderr.flush()
        answer = self.streams.stdin.readline()
        if not answer:
            raise Declined("nothing was changed")
        return answer


def harmless_lines(text: str) -> str:
    return "\n".join(harmless(line) for line in text.split("\n"))


def _checked(text: str, source: str) -> Secret:
    secret = text.rstrip("\r\n")
    if not secret:
        raise UsageError(f"no secret came from {source}")
    return Secret(secret)
