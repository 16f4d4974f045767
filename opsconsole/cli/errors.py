"""The one place where errors become lines on stderr and an exit code.

Expected errors are one lower-case line and a hint. An unexpected one says so in one line; with `--debug` the places it
came through follow, without values: locals are never shown and known shapes of secrets are masked.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import typer

from keyvault.errors import Exit, GatewayError
from keyvault.secrets import scrub
from opsconsole.cli.io import IO, OutputClosed
from opsconsole.cli.session import NothingSetUp


def guarded(command: Callable[[], Any], io: IO, *, debug: bool) -> int:
    """Run a command; its exit code, whatever happened."""
    try:
        result = command()
    except NothingSetUp as error:
        return _say(io, error.exit_code, *error.lines)
    except GatewayError as error:
        _settle_output(io)
        return _say(io, error.exit_code, error.message, *([f"hint: {error.hint}"] if error.hint else []))
    except typer.TyperException as error:
        return _say(io, error.exit_code, *_usage(error))
    except (OutputClosed, BrokenPipeError):
        _discard_output()
        return Exit.FAILURE
    except (typer.Abort, KeyboardInterrupt):
        return Exit.INTERRUPTED
    except OSError as error:
        _discard_output()
        if debug:
            _trace(io, error)
        return _say(io, Exit.FAILURE, _operating_system(error))
    except Exception as error:  # noqa: BLE001 - the front end's one catch point: no traceback reaches a person unasked
        if debug:
            _trace(io, error)
        return _say(
            io,
            Exit.FAILURE,
            f"internal error: {type(error).__name__}",
            *([] if debug else ["hint: run it again with --debug"]),
        )
    return result if isinstance(result, int) else Exit.OK


def _say(io: IO, code: int, *lines: str) -> int:
    for line in lines:
        io.note(line)
    return int(code)


def _usage(error: typer.TyperException) -> list[str]:
    """Typer's message in our style, with the help to look into as the hint."""
    message = error.format_message().strip().rstrip(".").replace("\n\t", " ").replace("Value error, ", "")
    context = getattr(error, "ctx", None)
    hint = getattr(error, "hint", None)
    if possible := getattr(error, "possibilities", None):
        message, hint = f"no such option: {error.option_name}", f"did you mean {' or '.join(sorted(possible))}?"  # type: ignore[attr-defined]
    if hint is None and context is not None:
        hint = f"{context.command_path} --help"
    return [message[:1].lower() + message[1:], *([f"hint: {hint}"] if hint else [])]


def _operating_system(error: OSError) -> str:
    reason = (error.strerror or type(error).__name__).lower()
    return f"{error.filename}: {reason}" if error.filename else reason


def _trace(io: IO, error: BaseException) -> None:
    """The frames and the message, masked; `TracebackException` captures no locals unless told to."""
    for line in traceback.TracebackException.from_exception(error).format(chain=True):
        io.streams.stderr.write(scrub(line))


def _settle_output(io: IO) -> None:
    """Have stdout take what it was given, or forget it."""
    try:
        io.streams.stdout.flush()
    except (OSError, ValueError):
        _discard_output()


def _discard_output() -> None:
    """Point stdout at nothing: what it did not take must not trouble the interpreter's last flush."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        if sys.stdout is sys.__stdout__:
            os.dup2(nowhere.fileno(), 1)
