"""TOML files that people write: read with the line of whatever is wrong, and values written so that they read back.

A place is a path of names and positions: `("routes", "fast", "targets", 0, "weight")`. What can be wrong with a file is
a `ConfigurationError` that begins `FILE:LINE: routes.fast.targets[0].weight`.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, NamedTuple

from keyvault.domain.names import shown
from keyvault.errors import ConfigurationError, UsageError

LARGEST: Final = 16 * 1024 * 1024
Path = tuple[str | int, ...]

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+\Z")
_POSITION: Final = re.compile(r"line (\d+), column (\d+)")
_TOKEN: Final = re.compile(
    r"""
    (?P<space> [ \t\r]+ | \#[^\n]* )
  | (?P<text> \"{3}(?:\\.|[^\\])*?\"{3,5} | '{3}.*?'{3,5} | "(?:\\.|[^"\\])*" | '[^']*' )
  | (?P<mark> [\n\[\]{}=,.] )
  | (?P<bare> [^\s\[\]{}=,.\#"']+ )
    """,
    re.VERBOSE | re.DOTALL,
)


def read_toml(text: str, file: str) -> tuple[dict[str, Any], Places]:
    """What a file says, and where. Raises `ConfigurationError`."""
    if len(text) > LARGEST:
        raise ConfigurationError(f"{file}: larger than 16 MiB")
    try:
        return tomllib.loads(text), Places(text, file)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(_syntax(text, file, str(error))) from None
    except (RecursionError, ValueError):  # a number of too many digits is a plain ValueError
        raise ConfigurationError(f"{file}: nested too deeply, or a number that is too long") from None


def _syntax(text: str, file: str, said: str) -> str:
    """`routes.toml:3: expected '=' after a key in a key/value pair (column 12)`."""
    reason, _, where = said.removesuffix(")").rpartition(" (at ")
    match = _POSITION.fullmatch(where)
    line = match[1] if match is not None else len(text.rstrip().split("\n"))
    return f"{file}:{line}: {reason[:1].lower()}{reason[1:]}{f' (column {match[2]})' if match is not None else ''}"


@contextlib.contextmanager
def located(where: str) -> Iterator[None]:
    """Say where what is wrong in the block stands."""
    try:
        yield
    except ConfigurationError:
        raise
    except UsageError as error:
        raise ConfigurationError(f"{where}: {error.message}", hint=error.hint) from None


def unknown(where: str, what: str, name: str, known: Collection[str]) -> ConfigurationError:
    """The error for a name that is none of the known ones, with the one that was probably meant."""
    near = difflib.get_close_matches(name[:100], known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(known)}"
    return ConfigurationError(f"{where}: no such {what}: {shown(name)}", hint=hint)


def toml_value(value: Any) -> str:
    """JSON's texts, lists, numbers, true and false are TOML's too, as far as all is printable ASCII."""
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{toml_key(name)} = {toml_value(inner)}" for name, inner in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    return json.dumps(value).replace("\x7f", "\\u007f")


def toml_key(name: str) -> str:
    return name if _BARE.match(name) else json.dumps(name).replace("\x7f", "\\u007f")


class Places:
    """On which line of a valid TOML text each table, field and list item begins. Looked for when first asked."""

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._lines: Mapping[Path, int] | None = None

    def at(self, path: Path) -> str:
        """`routes.toml:12: routes.fast.targets[0]`; the line of what holds it where it has none of its own."""
        if self._lines is None:
            self._lines = _Scan(self._text).lines
        known = next((self._lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self._lines), None)
        return f"{self._file}{'' if known is None else f':{known}'}: {_readable(path)}"


def _readable(path: Path) -> str:
    words = (f"[{part}]" if isinstance(part, int) else f".{shown(part)[1:-1]}" for part in path)
    return "".join(words).removeprefix(".")


class _Token(NamedTuple):
    text: str
    line: int


class _Scan:
    """Goes through a text that is known to be valid, so that brackets, commas and ends of lines tell what is what."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._arrays: dict[Path, int] = {}
        """Arrays of tables: how many tables each has so far."""
        self._tokens = list(_tokens(text))
        self._next = 0
        with contextlib.suppress(RecursionError):  # then what stands so deep has the line of what holds it
            self._document()

    def _document(self) -> None:
        table: Path = ()
        while self._peek():
            if self._took("\n"):
                continue
            table = self._header() if self._peek() == "[" else self._pair(table)

    def _header(self) -> Path:
        line, _ = self._tokens[self._next].line, self._took("[")
        repeated = self._took("[")
        path: Path = ()
        for name in (names := self._key())[:-1]:
            path = self._entered((*path, name))
            self._note(path, line)
        path = (*path, names[-1])
        if repeated:
            self._note(path, line)
            self._arrays[path] = self._arrays.get(path, -1) + 1
            path = self._entered(path)
        self._note(path, line)
        while self._took("]"):
            pass
        return path

    def _entered(self, path: Path) -> Path:
        """The newest table of an array of tables; else the path itself."""
        return (*path, self._arrays[path]) if path in self._arrays else path

    def _pair(self, table: Path) -> Path:
        """Reads `key = value`; the table goes on."""
        line, path = self._tokens[self._next].line, table
        for name in self._key():
            path = (*path, name)
            self._note(path, line)
        self._took("=")
        self._value(path)
        return table

    def _key(self) -> list[str]:
        parts = [_name(self._take())]
        while self._took("."):
            parts.append(_name(self._take()))
        return parts

    def _value(self, path: Path) -> None:
        if self._took("["):
            self._items(path)
        elif self._took("{"):
            while not self._took("}"):
                if not self._took(",") and not self._took("\n"):
                    self._pair(path)
        else:
            while self._peek() and self._peek() not in ("\n", ",", "]", "}"):
                self._take()

    def _items(self, path: Path) -> None:
        position = 0
        while not self._took("]"):
            if not self._took(",") and not self._took("\n"):
                self._note((*path, position), self._tokens[self._next].line)
                self._value((*path, position))
                position += 1

    def _note(self, path: Path, line: int) -> None:
        self.lines.setdefault(path, line)

    def _peek(self) -> str:
        return self._tokens[self._next].text if self._next < len(self._tokens) else ""

    def _take(self) -> str:
        text = self._peek()
        self._next += 1
        return text

    def _took(self, mark: str) -> bool:
        found = self._peek() == mark
        self._next += found
        return found


def _tokens(text: str) -> Iterator[_Token]:
    line = 1
    for match in _TOKEN.finditer(text):
        if match.lastgroup != "space":
            yield _Token(match[0], line)
        line += match[0].count("\n")


def _name(token: str) -> str:
    """The name that a part of a key stands for."""
    return next(iter(tomllib.loads(f"{token} = 0"))) if token[:1] in ('"', "'") else token
