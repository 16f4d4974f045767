"""Delivers a secret to a command, on its standard input.

The command is run without a shell. It has taken the secret if it ended with status 0 in time and read its input to the
end; what it prints is passed on scrubbed. Its environment names the key in `GWCTL_KEY_NAME` and the generation in
`GWCTL_KEY_GENERATION`.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import select
import shlex
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Final

from keyvault.errors import UsageError
from keyvault.keys.delivery import DeliveryFailed, Handed
from keyvault.keys.rotation import Rotation
from keyvault.secrets import scrub

LIMIT: Final = timedelta(seconds=60)
MOST_OUTPUT: Final = 64 * 1024
_PIECE: Final = 0.05
"""Seconds between two looks whether a command has ended while something it started still holds its output."""


class CommandDelivery(Handed):
    """A command that takes a secret (`--exec`)."""

    def __init__(
        self,
        command: str,
        environ: Mapping[str, str],
        say: Callable[[str], None],
        limit: timedelta = LIMIT,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`say` is told each line the command prints. Raises `UsageError` for what is no command line."""
        try:
            self._words = shlex.split(command)
        except ValueError:
            self._words = []
        if not self._words:
            raise UsageError("--exec names no command", hint="--exec 'gh secret set OPENAI_API_KEY'")
        self._environ = environ
        self._monotonic = monotonic
        self._say = say
        self._limit = limit.total_seconds()

    def steps(self, rotation: Rotation) -> Iterator[str]:
        assert rotation.secret is not None
        secret = rotation.secret.reveal()
        mine, theirs = os.pipe()
        with os.fdopen(mine, "rb"), contextlib.ExitStack() as stack:
            # The pipe holds the whole secret before anybody reads: a command never finds half of one, or none.
            with os.fdopen(theirs, "wb") as end:
                end.write(secret.encode() + b"\n")
            yield "wrote the secret"
            process = self._start(rotation, mine)
            stack.callback(_end, process)
            yield "started the command"
            for line in self._watch(process).decode("utf-8", "replace").splitlines():
                self._say(scrub(line, [secret]))
            self._judge(process, unread=_unread(mine))
        yield "saw it succeed"

    def _start(self, rotation: Rotation, stdin: int) -> subprocess.Popen[bytes]:
        told = {"GWCTL_KEY_NAME": rotation.key.name, "GWCTL_KEY_GENERATION": str(rotation.generation)}
        try:
            return subprocess.Popen(  # noqa: S603 - the operator's own command, without a shell
                self._words,
                env={**self._environ, **told},
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            why = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else "cannot be run"
            raise DeliveryFailed(f"--exec {self._name}: {why}") from None

    def _watch(self, process: subprocess.Popen[bytes]) -> bytes:
        """What the command prints until it ends, its last part at most. Raises `DeliveryFailed` when its time is up."""
        assert process.stdout is not None
        end, output, source = self._monotonic() + self._limit, b"", process.stdout.fileno()
        os.set_blocking(source, False)
        open_still = True
        while True:
            ended = process.poll() is not None
            while open_still and select.select([source], [], [], 0 if ended else _PIECE)[0]:
                piece = os.read(source, MOST_OUTPUT)
                open_still = bool(piece)
                output = (output + piece)[-MOST_OUTPUT:]
                if self._monotonic() >= end:
                    break
            if ended:
                return output
            if self._monotonic() >= end:
                raise DeliveryFailed(f"--exec {self._name}: not done within {self._limit:g} seconds")
            if not open_still:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_PIECE)

    def _judge(self, process: subprocess.Popen[bytes], *, unread: bool) -> None:
        if process.returncode:
            how = f"exit status {process.returncode}" if process.returncode > 0 else f"signal {-process.returncode}"
            raise DeliveryFailed(f"--exec {self._name}: it ended with {how}")
        if unread:
            raise DeliveryFailed(f"--exec {self._name}: it ended without reading the secret from its input")

    @property
    def _name(self) -> str:
        return scrub(ascii(self._words[0])[:80])


def _unread(pipe: int) -> bool:
    """Whether something is still in a pipe."""
    count = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0] > 0


def _end(process: subprocess.Popen[bytes]) -> None:
    """See that a command and what it started are gone, if it did not end by itself."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    if process.stdout is not None:
        process.stdout.close()
    process.wait()
