"""Secrets that may be found nowhere: noted when the suite makes one, looked for wherever something was left.

`Canaries` belongs to one home of a test. With the variable `GWCTL_CANARIES` set, all of them are also written to that
file, so that `python -m tests.canary` can look through everything a whole run of the suite left behind.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

VARIABLE: Final = "GWCTL_CANARIES"
SHORTEST: Final = 16
"""Shorter secrets are words that tests use for reading well; they would be found everywhere."""
TOKEN: Final = re.compile(r"sk-gw_(?:live|test)_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")
GIVES_AWAY: Final = ("--out", "--out-dir", "--env-file", "--recovery-out", "--key-file", "--secret-file")
"""Options whose value is a file that is asked to hold a secret, or a directory of such files."""


class Canaries:
    """The secrets of one home, and the files that were asked to hold one."""

    def __init__(self) -> None:
        self._known: dict[bytes, str] = {}
        self._asked: set[Path] = set()

    def add(self, what: str, secret: str) -> None:
        """From now on this text may be found nowhere."""
        if len(secret) < SHORTEST or not secret.strip("0123"):  # a test's clock draws keys that are all but zero
            return
        for form in forms(secret):
            self._known[form] = what
        _write({"what": what, "secret": secret})

    def given(self, words: Sequence[str], stdin: str) -> None:
        """Note the secret a command line is about to be given, and the files it is asked to write secrets to."""
        if "--secret-stdin" in words:
            self.add("secret from stdin", stdin.rstrip("\r\n"))
        for option, value in itertools.pairwise(words):
            if option in GIVES_AWAY:
                self._asked.add(Path(value).resolve())
                _write({"asked": str(Path(value).resolve())})

    def made(self, words: Sequence[str], said: str) -> None:
        """Note what a command line has made: a secret is shown once, so what was shown now may not be seen again."""
        for token in TOKEN.findall(said):
            self.add("token", token)
        for option, value in itertools.pairwise(words):
            if option == "--recovery-out" and Path(value).is_file():
                self.add("recovery code", Path(value).read_text().strip())

    @property
    def known(self) -> list[tuple[bytes, str]]:
        """Each form of each secret, with what it is."""
        return list(self._known.items())

    def in_text(self, data: bytes) -> list[str]:
        """What kinds of secrets stand in some bytes."""
        return sorted({what for form, what in self._known.items() if form in data})

    def below(self, home: Path) -> list[str]:
        """`kind: file` for each secret that lies open below a directory, files asked for apart."""
        return [f"{what}: {path}" for path, data in files(home, self._asked) for what in self.in_text(data)]


def forms(secret: str) -> set[bytes]:
    """A secret as it is, in base64, and where it is hexadecimal as the bytes it stands for."""
    raw = secret.encode()
    found = {raw, base64.b64encode(raw).rstrip(b"="), base64.urlsafe_b64encode(raw).rstrip(b"=")}
    if re.fullmatch(r"[0-9a-f]{64}", secret):
        found.add(bytes.fromhex(secret))
    return found


def files(directory: Path, asked: set[Path]) -> Iterator[tuple[Path, bytes]]:
    """Every file below a directory but those asked for and the key file itself, which is where a key belongs."""
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.name != "unlock.key":
            place = path.resolve()
            if asked.isdisjoint((place, place.parent)):
                yield path, path.read_bytes()


def _write(line: dict[str, str]) -> None:
    if (where := os.environ.get(VARIABLE)) is not None:
        with open(where, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
