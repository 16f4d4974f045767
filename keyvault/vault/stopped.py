"""What was stopped while the vault was locked and is not stopped any more, according to the audit log.

Stopping needs no vault, so the row keeps its old seal, and fits it again once somebody turns it back. Letting in again
needs the vault and renews the manifest: behind the manifest's end no entry can tell of it, whatever it says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from keyvault import audit
from keyvault.audit import Entry
from keyvault.domain.names import split_project
from keyvault.storage import customers, switch, upstreams
from keyvault.storage import keys as key_rows
from keyvault.storage import seals as rows
from keyvault.storage.engine import Transaction
from keyvault.storage.seals import SealedRow

Find = Callable[[Transaction, Entry], int | None]
"""The id of the row that an entry says was stopped; None where it stopped nothing, or what it names is gone."""


def turned_back(tx: Transaction, after: int) -> list[SealedRow]:
    """The rows that were stopped according to the audit entries behind one and give access: somebody else than gwctl
    let them in again, and took care that nobody would seal them."""
    stopped: dict[str, set[int]] = {}
    for entry in audit.entries(tx, after):
        name, find = _STOPS.get(entry.action, ("", _nothing))
        if (row_id := find(tx, entry)) is not None:
            stopped.setdefault(name, set()).add(row_id)
    return [row for name, ids in stopped.items() for row in rows.read(tx, name, ids) if not row.denies]


def _nothing(_tx: Transaction, _entry: Entry) -> None:
    """It stopped nothing."""


def _key(tx: Transaction, entry: Entry) -> int | None:
    found = key_rows.find_by_public_id(tx, str(entry.detail.get("id")))
    return None if found is None else found.id


def _customer(tx: Transaction, entry: Entry) -> int | None:
    found = customers.find_customer(tx, _named(entry)) if entry.detail.get("suspended") else None
    return None if found is None else found.id


def _project(tx: Transaction, entry: Entry) -> int | None:
    found = customers.find_project(tx, *split_project(_named(entry))) if entry.detail.get("suspended") else None
    return None if found is None else found.id


def _upstream(tx: Transaction, entry: Entry) -> int | None:
    found = upstreams.find(tx, _named(entry))
    return None if found is None else found.id


def _rollout(_tx: Transaction, entry: Entry) -> int | None:
    found = entry.detail.get("rollout")
    return found if isinstance(found, int) else None


def _capture(_tx: Transaction, entry: Entry) -> int | None:
    number = _named(entry)
    return int(number) if number.isascii() and number.isdigit() else None


def _gateway(_tx: Transaction, _entry: Entry) -> int:
    return switch.ROW


def _named(entry: Entry) -> str:
    return entry.scope.partition(":")[2]


_STOPS: Final[Mapping[str, tuple[str, Find]]] = {
    "keys.revoke": ("keys", _key),
    "keys.suspend": ("keys", _key),
    "keys.delete": ("keys", _key),
    "customers.update": ("customers", _customer),
    "projects.update": ("projects", _project),
    "upstreams.disable": ("upstreams", _upstream),
    "gateway.suspend": ("gateway", _gateway),
    "rollouts.rollback": ("rollouts", _rollout),
    "rollouts.pause": ("rollouts", _rollout),
    "captures.stop": ("captures", _capture),
}
"""Action → the table of what it stops, and which row."""
