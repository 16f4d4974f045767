"""Where requests of the past are read from: a file, stdin, or a capture of this home."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from keyvault.errors import UsageError
from opsconsole.staging.exchanges import Exchange, Unusable, read, read_file, read_lines

if TYPE_CHECKING:
    from keyvault.home import Home

CAPTURE: Final = "capture:"
STDIN: Final = "-"


def read_source(home: Home, source: str) -> Iterator[Exchange | Unusable]:
    """The requests of `capture:ID`, of `-` (stdin) or of a file. Raises `NotFound`, `UsageError`, `Locked`."""
    if source.startswith(CAPTURE):
        return _captured(home, source.removeprefix(CAPTURE))
    return read(sys.stdin.buffer) if source == STDIN else read_file(Path(source))


def exchanges_of(home: Home, source: str, limit: int | None = None) -> tuple[list[Exchange], list[Unusable]]:
    """The first requests of a source, and the lines among them that are none. Raises also `UsageError` where there is
    no request at all."""
    exchanges: list[Exchange] = []
    unusable: list[Unusable] = []
    for each in islice(read_source(home, source), limit):
        if isinstance(each, Exchange):
            exchanges.append(each)
        else:
            unusable.append(each)
    if not exchanges:
        why = f": {unusable[0].reason} (line {unusable[0].line})" if unusable else ""
        raise UsageError(f"{source}: no request in it can be sent again{why}", hint="gwctl replay run --help")
    return exchanges, unusable


def absolute(source: str) -> str:
    """The same source, wherever one stands."""
    return source if source == STDIN or source.startswith(CAPTURE) else str(Path(source).absolute())


def _captured(home: Home, number: str) -> Iterator[Exchange | Unusable]:
    """What this machine captured, in the very form in which it is exported."""
    from opsconsole.staging.captures import line_of

    if not (number.isascii() and number.isdecimal()) or len(number) > 9:
        raise UsageError(f"not a capture: {number[:40]!a}", hint="write it as capture:3; gwctl captures list")
    found = home.captures.export(int(number))
    return read_lines(enumerate((line_of(captured).encode() for captured in found), 1))
