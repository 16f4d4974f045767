"""Files that a person named: reads text of a bounded size, `-` being stdin, and writes new ones; or says why not."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Annotated, Final, TextIO

import typer

from keyvault.errors import ConfigurationError, Conflict, UsageError
from keyvault.files import asked_for
from opsconsole.cli.output import Format
from opsconsole.cli.session import Session

LARGEST: Final = 32 * 1024 * 1024

OutFile = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Into a new file, 0600.")]


_SUFFIXES: Final[Mapping[str, Format]] = {
    ".html": Format.HTML,
    ".md": Format.MD,
    ".csv": Format.CSV,
    ".json": Format.JSON,
    ".jsonl": Format.JSONL,
    ".xml": Format.JUNIT,
}
_UNWRITTEN: Final = frozenset({".pdf", ".doc", ".docx", ".odt", ".ods", ".xls", ".xlsx"})
"""Of a file with such a name a person expects more than a table of plain text."""


def read_text(session: Session, path: Path) -> str:
    """The whole text, UTF-8, with or without a byte order mark. Raises `ConfigurationError`.

    Opened without waiting, so that a pipe nobody writes to cannot hang.
    """
    try:
        if str(path) == "-":
            content = _typed(session.io.streams.stdin)
        else:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ConfigurationError(f"{path}: larger than 32 MiB")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{path}: {(error.strerror or type(error).__name__).lower()}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: not UTF-8 text") from None


def _typed(stdin: TextIO) -> bytes:
    """The bytes of stdin, whatever text the locale takes them for; a stream without any has its text taken."""
    raw = getattr(stdin, "buffer", None)
    return raw.read(LARGEST + 1) if raw is not None else stdin.read(LARGEST + 1).encode("utf-8", "surrogateescape")


def check_new(session: Session, path: Path) -> None:
    """Raises `Conflict` or `UsageError` where `form_of` and `written` would, before what takes long is begun."""
    form_of(session, path)
    if path.exists():
        raise Conflict(f"{path}: exists already", hint="name another file")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path.parent}: no such directory", hint="name a file in a directory that exists")


@contextlib.contextmanager
def written(session: Session, path: Path | None) -> Iterator[Callable[[str], None]]:
    """Takes text for stdout, or for a new private file that is there in whole or not at all. Raises `UsageError`."""
    if path is None:
        yield session.io.data
        return
    with asked_for(path) as file:
        yield lambda text: _put(file, text)


def form_of(session: Session, out: Path | None) -> Format:
    """The form that was asked for, else what the file's name says. Raises `UsageError` for one nobody can write."""
    if out is None or session.options.output or session.options.json:
        return session.options.format
    if (suffix := out.suffix.lower()) in _UNWRITTEN:
        raise UsageError(f"nothing is written as {suffix}", hint=f"--out {out.stem}.html, or {out.stem}.csv")
    return _SUFFIXES.get(suffix, Format.TABLE)


def _put(file: IO[bytes], text: str) -> None:
    file.write(text.encode("utf-8"))
