"""Short ids for the names that every row of the ledger carries: aliases and targets.

An id is the start of a hash of the name: every process finds the same one, without asking the database while a request
waits. The ledger's writer inserts new names in the transaction of the first attempt that uses them. Clients may choose
names freely where no routes are set, so at most 10,000 are kept apart; the rest is `(other)`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from hashlib import blake2b
from typing import Final, Generic, TypeVar

from keyvault.secrets import scrub

MAX_NAMES: Final = 10_000
MAX_LENGTH: Final = 200
OTHER: Final = "(other)"
_SECRET: Final = re.compile("[A-Za-z0-9]{20}")
"""Part of every credential, and hardly of a model's name: `xai-grok-4-fast-reasoning` only begins like a credential."""

Name = TypeVar("Name", bound=Hashable)


class Interned(Generic[Name]):
    """Names and their ids. Used by one thread."""

    def __init__(
        self,
        known: Mapping[Name, int],
        other: Name,
        new: Callable[[Name, int], None],
        limit: int = MAX_NAMES,
        *,
        clean: Callable[[Name], Name] = lambda name: name,
    ) -> None:
        """`known`: as the database has them. `new`: called once for each name that it may not have.

        `clean` makes of a name that is not known the one that may be stored.
        """
        self._ids = dict(known)
        self._taken = set(known.values())
        self._other = other
        self._new = new
        self._limit = limit
        self._clean = clean

    def id_of(self, name: Name) -> int:
        found = self._ids.get(name)
        return self._intern(self._clean(name)) if found is None else found

    def _intern(self, name: Name) -> int:
        if name in self._ids:
            return self._ids[name]
        if len(self._ids) >= self._limit and name != self._other:
            return self.id_of(self._other)
        number = name_id(name)
        while number in self._taken:
            number += 1
        self._ids[name] = number
        self._taken.add(number)
        self._new(name, number)
        return number


def name_id(name: Hashable) -> int:
    """47 bits of a hash, never 0: with 10,000 names two share one in a case of three million."""
    parts = name if isinstance(name, tuple) else (name,)
    digest = blake2b("\0".join(parts).encode(), digest_size=6).digest()
    return (int.from_bytes(digest, "big") >> 1) or 1


def clean(name: str) -> str:
    """A client's name for a model as it may be stored and shown: printable, at most 200 characters, no credential."""
    if _SECRET.search(name):
        name = scrub(name)
    if name.isascii() and name.isprintable() and len(name) <= MAX_LENGTH:
        return name
    return "".join(c if c.isprintable() else "�" for c in name[:MAX_LENGTH])
