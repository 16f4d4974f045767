"""Finds our tokens where they should not be: in files, offline, by their form and their checksum.

The checksum makes a find certain: random text of this form passes it once in four thousand million times. What is
found is never shown whole.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keyvault.keys import token

PATTERN: Final = r"sk-gw_(?:live|test)_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}"
"""A token, for any scanner that knows regular expressions; ours checks the checksum too."""

_CANDIDATE = re.compile(rb"(?<![0-9A-Za-z_-])" + PATTERN.encode() + rb"(?![0-9A-Za-z])")
_PIECE: Final = 1 << 20
_LONGEST: Final = 80
"""Bytes kept from one piece to the next: a token and what stands beside it."""


@dataclass(frozen=True, slots=True)
class Found:
    """A token in a file."""

    path: Path
    line: int
    """Counted from 1."""
    public_id: str
    masked: str


@dataclass(frozen=True, slots=True)
class Unread:
    """A file or directory that could not be searched, and why."""

    path: Path
    reason: str


def scan(path: Path) -> Iterator[Found | Unread]:
    """Search a file, or every regular file below a directory; symbolic links below it are not followed."""
    if not path.is_dir():
        yield from _scan_file(path)
        return
    unread: list[Unread] = []

    def note(error: OSError) -> None:
        unread.append(Unread(Path(error.filename), _reason(error)))

    for directory, names, files in os.walk(path, onerror=note):
        names.sort()
        for name in sorted(files):
            yield from _scan_file(Path(directory, name), below=True)
        yield from unread
        unread.clear()
    yield from unread


def tokens_in(data: bytes) -> Iterator[tuple[int, str, str]]:
    """(offset, public id, masked) of every token in some bytes."""
    for match in _CANDIDATE.finditer(data):
        if (public_id := token.parse(match[0])) is not None:
            yield match.start(), public_id, token.mask(match[0].decode())


def _scan_file(path: Path, *, below: bool = False) -> Iterator[Found | Unread]:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (os.O_NOFOLLOW if below else 0)
    try:
        if below and not stat.S_ISREG(path.lstat().st_mode):
            return
        with open(os.open(path, flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                yield Unread(path, "not a regular file")
                return
            yield from search_stream(path, iter(lambda: file.read(_PIECE), b""))
    except OSError as error:
        yield Unread(path, _reason(error))


def _reason(error: OSError) -> str:
    return (error.strerror or "cannot be read").lower()


def search_stream(path: Path, pieces: Iterator[bytes]) -> Iterator[Found]:
    """Search piece by piece. A token near the end of one waits for the next, so that none is cut or found twice."""
    kept, begin, line = b"", 0, 1
    while True:
        piece = next(pieces, b"")
        data = kept + piece
        settled = max(len(data) - _LONGEST, begin) if piece else len(data)
        counted, upto = line, 0
        for offset, public_id, masked in tokens_in(data):
            if begin <= offset < settled:
                counted, upto = counted + data.count(b"\n", upto, offset), offset
                yield Found(path, counted, public_id, masked)
        if not piece:
            return
        start = max(settled - 1, 0)  # the byte before tells whether a token may begin
        line += data.count(b"\n", 0, start)
        kept, begin = data[start:], settled - start
