"""Reading files of logged requests, whatever wrote them; each line is known by its own shape.

- a capture of this gateway (`gwctl captures export`);
- the input of an OpenAI batch: `{"custom_id", "method", "url", "body"}`;
- LiteLLM's logs: its standard logging payload, or rows of its spend logs with stored prompts;
- JSON access logs as nginx writes them with `escape=json`, where `$request_body` is among the fields;
- plain lines: a request body, or `{"body": …}`, `{"messages": …}`, `{"prompt": …}` with `id`, `path`, `task`,
  `expected` beside it where one wants.

Lines of JSON, one array, or either of them compressed by gzip. A line of which no request can be made is told with its
reason, and the others are read all the same.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from keyvault.errors import NotFound, UsageError
from opsconsole.staging.exchanges.access_log import from_access_log
from opsconsole.staging.exchanges.exchange import Exchange, Unusable
from opsconsole.staging.exchanges.litellm import from_litellm
from opsconsole.staging.exchanges.own import from_batch, from_capture, from_plain
from opsconsole.staging.exchanges.shapes import Fields, Unfit

LONGEST_LINE: Final = 64 * 1024 * 1024
_GZIP: Final = b"\x1f\x8b"
_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array: Final = msgspec.json.Decoder(list[msgspec.Raw])
_SHAPES: Final = (from_capture, from_batch, from_litellm, from_access_log, from_plain)
"""Each returns None for a line that is not of its shape, and raises `Unfit` for one that is and cannot be used."""


def read_file(path: Path) -> Iterator[Exchange | Unusable]:
    """The requests of a file. Raises `NotFound` where there is none, `UsageError` where it cannot be read."""
    try:
        with path.open("rb") as stream:
            yield from read(stream)
    except FileNotFoundError:
        raise NotFound(f"{path}: no such file") from None
    except OSError as error:
        raise UsageError(f"{path}: {(error.strerror or type(error).__name__).lower()}") from None


def read(stream: BinaryIO) -> Iterator[Exchange | Unusable]:
    """The requests of a stream of bytes, in order."""
    return read_lines(_lines(_plain(stream)))


def read_lines(lines: Iterable[tuple[int, bytes]]) -> Iterator[Exchange | Unusable]:
    """The requests of lines that are told with their numbers, in order; ids that come again are told apart."""
    seen: dict[str, int] = {}
    for number, line in lines:
        if not line.strip():
            continue
        read_line = _read(line, number)
        if isinstance(read_line, Exchange):
            seen[read_line.id] = again = seen.get(read_line.id, 0) + 1
            if again > 1:
                read_line = replace(read_line, id=f"{read_line.id}~{again}")
        yield read_line


def _read(line: bytes | msgspec.Raw, number: int) -> Exchange | Unusable:
    if len(line) > LONGEST_LINE:
        return Unusable(number, f"longer than {LONGEST_LINE // 2**20} MB")
    try:
        fields: Fields = _fields.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Unusable(number, "not a JSON object")
    try:
        for shape in _SHAPES:
            if (exchange := shape(fields, number)) is not None:
                return exchange
    except Unfit as reason:
        return Unusable(number, str(reason))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Unusable(number, "a value in it is damaged, or nested too deeply")
    return Unusable(number, "no request body in it")


def _plain(stream: BinaryIO) -> BinaryIO:
    """The stream without its compression."""
    buffered = io.BufferedReader(stream) if isinstance(stream, io.RawIOBase) else stream
    head = buffered.peek(2)[:2] if isinstance(buffered, io.BufferedReader) else b""
    return gzip.GzipFile(fileobj=buffered) if head == _GZIP else buffered  # type: ignore[return-value]


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Each object of the stream with its number, from 1. Raises `UsageError`."""
    try:
        first = stream.readline()
        if first.lstrip().startswith(b"["):
            yield from enumerate(map(bytes, _array.decode(first + stream.read())), 1)
            return
        yield 1, first
        yield from enumerate(iter(stream.readline, b""), 2)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UsageError("not an array of JSON objects", hint="one JSON object in each line") from None
    except (OSError, EOFError) as error:
        raise UsageError(f"not readable as gzip: {error}") from None
