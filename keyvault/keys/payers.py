"""Who may be named as the payer of a request: every project in memory, found by its name and its customer's.

Read when a payer is first asked for and again after a change of customers or projects, so that a gateway whose keys
name nobody reads nothing. Whether somebody vouches for a row is asked where it is new, another than before, or was in
doubt. For the event loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

from keyvault.domain.keys import DEFAULT_PROJECT
from keyvault.domain.names import fold
from keyvault.domain.scopes import Payer
from keyvault.errors import Refusal
from keyvault.storage import payers as rows
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.payers import KnownPayer

Doubted = Callable[[Transaction, str, Collection[int]], Collection[int]]
"""Which rows of a table, of those with these ids, nobody vouches for."""

_DEFAULT: Final = DEFAULT_PROJECT.partition("/")[2]


class Payers:
    """The payers of one proxy process."""

    def __init__(self, database: Database, doubted: Doubted) -> None:
        self._database = database
        self._doubted = doubted
        self._stored: Mapping[int, KnownPayer] = {}
        """As the database has them, by project id."""
        self._bad: set[int] = set()
        """The ids of those that nobody vouches for."""
        self._places: dict[str, dict[str, KnownPayer]] = {}
        """Customer → project, both in the form in which names are the same."""
        self._stale = True

    def outdated(self, *, distrusted: bool = False) -> None:
        """Something has changed: read again when next asked. `distrusted`: ask anew about every row."""
        self._stale = True
        if distrusted:
            self._stored = {}

    def find(self, customer: str, project: str | None, like: str) -> Payer:
        """A project of a customer; where none is named, that of the name `like`, else `default`, else the only one.

        Raises `Refusal`, which tells nothing of who else there is, and `Unavailable`.
        """
        if self._stale:
            self._read()
        projects = self._places.get(fold(customer))
        if not projects:
            raise Refusal(400, "unknown_payer", "no such customer, or it has no project")
        found = projects.get(fold(project)) if project is not None else _usual(projects, like)
        if found is None:
            raise Refusal(400, "unknown_payer", "the customer has no such project")
        if found.suspended or found.payer.project_id in self._bad:
            raise Refusal(403, "payer_suspended", "the payer named is suspended", type="permission_error")
        return found.payer

    def _read(self) -> None:
        with self._database.snapshot() as tx:
            stored = {known.payer.project_id: known for known in rows.every(tx)}
            unsure = {number for number, known in stored.items() if self._stored.get(number) != known} | self._bad
            self._bad = self._without_voucher(tx, [stored[number] for number in unsure & stored.keys()])
        places: dict[str, dict[str, KnownPayer]] = {}
        for known in stored.values():
            places.setdefault(fold(known.payer.customer), {})[fold(known.payer.project)] = known
        self._stored, self._places, self._stale = stored, places, False

    def _without_voucher(self, tx: Transaction, found: Collection[KnownPayer]) -> set[int]:
        """Of these, the ids of projects that nobody vouches for, or not for their customer."""
        projects = self._doubted(tx, "projects", {known.payer.project_id for known in found})
        customers = self._doubted(tx, "customers", {known.payer.customer_id for known in found})
        payers = [known.payer for known in found]
        return {p.project_id for p in payers if p.project_id in projects or p.customer_id in customers}


def _usual(projects: Mapping[str, KnownPayer], like: str) -> KnownPayer:
    found = projects.get(fold(like)) or projects.get(_DEFAULT)
    if found is None and len(projects) > 1:
        raise Refusal(400, "ambiguous_payer", "the customer has several projects: name one by x-gateway-project")
    return found or next(iter(projects.values()))
