"""What a file that holds a secret looks like: the secret alone, or one line `NAME=secret` among others.

Pure functions of bytes. A line keeps its indentation, `export`, quotes, comment and line ending; every other line
stays as it is, byte for byte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Protocol

from keyvault.errors import UsageError
from keyvault.secrets import Secret

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}\Z")
_VALUE: Final = rb"""(?P<value>"[^"\r\n]*"|'[^'\r\n]*'|(?!\#)[^\r\n]*?)(?:[ \t]+\#[^\r\n]*|[ \t]*)(?=\r?$)"""
"""A value, quoted or not, up to a comment or the end of its line."""


class Form(Protocol):
    """How a secret stands in a file."""

    whole: bool
    """Whether the file holds nothing else."""

    def find(self, content: bytes) -> Secret | None:
        """The secret in a file's content."""
        ...

    def put(self, content: bytes, secret: Secret) -> bytes:
        """The content with that secret in it."""
        ...

    def back(self, content: bytes, before: bytes) -> bytes:
        """The content with what `before` had in the secret's place."""
        ...


class Alone:
    """The secret and a newline."""

    whole = True

    def find(self, content: bytes) -> Secret | None:
        text = content.decode("ascii", "replace").strip()
        return Secret(text) if text else None

    def put(self, content: bytes, secret: Secret) -> bytes:
        return secret.reveal().encode() + b"\n"

    def back(self, content: bytes, before: bytes) -> bytes:
        return before


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file that shells, systemd or dotenv read. Where a variable is set twice, its last line counts."""

    variable: str
    whole = False

    def checked(self) -> Line:
        """Raises `UsageError` for what cannot be a variable."""
        if not _VARIABLE.match(self.variable):
            raise UsageError(f"not a variable's name: {self.variable[:40]!a}", hint="--var OPENAI_API_KEY")
        return self

    def find(self, content: bytes) -> Secret | None:
        line = self._line(content)
        text = line["value"].strip(b"\"'").decode("ascii", "replace") if line else ""
        return Secret(text) if text else None

    def put(self, content: bytes, secret: Secret) -> bytes:
        value = secret.reveal().encode()
        if line := self._line(content):
            quote = line["value"][:1] if line["value"][:1] in (b'"', b"'") else b""
            return content[: line.start("value")] + quote + value + quote + content[line.end("value") :]
        ending = b"\r\n" if b"\r\n" in content else b"\n"
        gap = ending if content and not content.endswith(b"\n") else b""
        return content + gap + self.variable.encode() + b"=" + value + ending

    def back(self, content: bytes, before: bytes) -> bytes:
        was, now = self._line(before), self._line(content)
        if now is None:
            return content
        if was is not None:
            return content[: now.start()] + was[0] + content[now.end() :]
        after = content[now.end() :]
        return content[: now.start()] + after.removeprefix(b"\r").removeprefix(b"\n")

    def _line(self, content: bytes) -> re.Match[bytes] | None:
        """The last line that sets the variable."""
        name = re.escape(self.variable.encode())
        line = rb"^[ \t]*(?:export[ \t]+)?" + name + rb"[ \t]*=[ \t]*" + _VALUE
        return next(reversed(list(re.finditer(line, content, re.MULTILINE))), None)
