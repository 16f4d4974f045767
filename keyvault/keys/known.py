"""The keys on record, for whoever only looks at them: that takes neither the vault nor what changes them."""

from __future__ import annotations

from collections.abc import Sequence

from keyvault.domain.keys import Key, Project
from keyvault.domain.names import not_found, split_project
from keyvault.storage import customers
from keyvault.storage import keys as rows
from keyvault.storage.engine import Database, Transaction


class KnownKeys:
    """What `gwctl keys list|show` asks. Names are found without regard to case."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, *, customer: str | None = None, project: str | None = None, deleted: bool = False) -> Sequence[Key]:
        """All keys by name, or those of a customer or of a project such as `acme/web`; `deleted`: those that are."""
        with self._database.read() as tx:
            if customer is not None and customers.find_customer(tx, customer) is None:
                known = [c.name for c in customers.list_customers(tx)]
                raise not_found("customer", customer, known, otherwise="gwctl customers list")
            project_id = None if project is None else existing_project(tx, project).id
            return rows.list_keys(tx, customer=customer, project_id=project_id, deleted=deleted)

    def get(self, name: str) -> Key:
        """Raises `NotFound`, with the nearest name as a hint."""
        with self._database.read() as tx:
            return existing_key(tx, name)

    def find_by_public_id(self, public_id: str) -> Key | None:
        """The key that a token names, None where it is not of this gateway."""
        with self._database.read() as tx:
            return rows.find_by_public_id(tx, public_id)


def existing_key(tx: Transaction, name: str) -> Key:
    """The key of that name. Raises `NotFound`, with the nearest name as a hint."""
    key = rows.find(tx, name)
    if key is None:
        raise not_found("key", name, rows.names(tx), otherwise="gwctl keys list")
    return key


def existing_project(tx: Transaction, path: str, *, otherwise: str = "gwctl projects list") -> Project:
    """The project of that path; `otherwise` is the hint where no other path is near."""
    customer, name = split_project(path)
    project = customers.find_project(tx, customer, name)
    if project is None:
        raise not_found("project", path, [p.path for p in customers.list_projects(tx)], otherwise=otherwise)
    return project
