"""What happened after a backup, done again as far as it took access away or moved money; what the backup cannot vouch
for is stopped.

One row of `STEPS` for each kind of audit entry. A denial (revoke, suspend, delete, disable) is repeated, and so is
every entry of a balance. A key that changed in any other way is suspended: the backup holds a secret or a policy that
was replaced, and nobody can tell whether for a reason. Access that was given back later is not given back again. What
only gave something (a new key, a route, a price) is lost, and listed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from keyvault import audit
from keyvault.audit import Entry
from keyvault.backup import captures, prepaid, rollouts
from keyvault.backup.budgets import budgeted_again
from keyvault.backup.keys import end_grace, end_key, key_back, suspended_key
from keyvault.backup.limits import limited_again
from keyvault.backup.outcomes import RESUMED, Outcome, Result, Step, lost, told
from keyvault.backup.statements import adjusted_again, issued_again, repriced_again
from keyvault.clock import to_ms
from keyvault.domain.balances import EntryKind
from keyvault.domain.keys import Customer, KeyState, Project
from keyvault.domain.names import split_project
from keyvault.domain.vault import SlotScope
from keyvault.errors import Tampered
from keyvault.metering.spending import Spending
from keyvault.money import CURRENCY
from keyvault.storage import audit as audit_rows
from keyvault.storage import customers, epochs, switch, upstreams
from keyvault.storage import vault as vault_rows
from keyvault.storage.engine import Transaction
from keyvault.vault import slots
from keyvault.vault.generations import Access
from keyvault.vault.manifest import SealKeys


def put_back(tx: Transaction, entries: Iterable[Entry]) -> None:
    """Append the entries that a restored audit log lacks. Raises `Tampered` where one does not follow from the last."""
    seq, digest = audit_rows.last(tx)
    for entry in entries:
        row = {
            "seq": entry.seq,
            "at_ms": to_ms(entry.at),
            "actor": entry.actor,
            "action": entry.action,
            "scope": entry.scope,
            "detail": json.dumps(dict(entry.detail), sort_keys=True, separators=(",", ":")),
            "command": entry.command,
            "previous": digest,
            "digest": entry.digest,
        }
        if entry.seq != seq + 1 or audit.digest(digest, row) != entry.digest:
            raise Tampered(f"the journal was changed: its entry {entry.seq} does not follow from the one before it")
        audit_rows.insert(tx, row)
        seq, digest = entry.seq, entry.digest


def replay(tx: Transaction, entries: Iterable[Entry], access: Access) -> list[Outcome]:
    """Do again what took access away, in order, and suspend what cannot be vouched for. `access` opens everything."""
    entered = partial(prepaid.entered, Spending(SealKeys.of(access).spending))
    steps: Mapping[str, Step] = {
        **STEPS,
        "vault.slots.delete": partial(_withdraw_slot, access),
        **{f"balances.{kind}": partial(_entered, entered) for kind in EntryKind},
    }
    found = [steps.get(entry.action, _OTHERS.get(_noun(entry), lost))(tx, entry) for entry in entries]
    epochs.bump(tx, "keys")
    epochs.bump(tx, "upstreams")
    epochs.bump(tx, "money")
    return _merged(outcome for outcome in found if outcome is not None)


def _merged(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """One for each scope and result, in the order of the last ones."""
    merged: dict[tuple[str, Result], Outcome] = {}
    for outcome in outcomes:
        earlier = merged.pop((outcome.scope, outcome.result), outcome)
        merged[outcome.scope, outcome.result] = replace(outcome, denied=outcome.denied or earlier.denied)
    return list(merged.values())


def _noun(entry: Entry) -> str:
    return entry.action.partition(".")[0]


def _mention(why: str) -> Step:
    """For what cannot be done again, and somebody must know."""
    return lambda _tx, entry: told(entry, Result.LOST, why)


def _nothing(_tx: Transaction, _entry: Entry) -> None:
    """It changed nothing that counts."""


# Whoever pays, and the gateway itself


def _customer(tx: Transaction, entry: Entry) -> Outcome:
    customer = customers.find_customer(tx, entry.scope.partition(":")[2])
    denied, money = bool(entry.detail.get("suspended")), "multiplier_ppm" in entry.detail
    if customer is None or not (denied or money):
        return _payer_back(tx, entry, customer)
    customers.update_customer(tx, customer.id, suspended=True)
    if denied:
        return told(entry, Result.REPEATED, "suspended after the backup")
    return told(entry, Result.SUSPENDED, "its multiplier was changed after the backup")


def _project(tx: Transaction, entry: Entry) -> Outcome:
    project = _project_named(tx, entry.scope.partition(":")[2])
    if project is None or not entry.detail.get("suspended"):
        return _payer_back(tx, entry, project)
    customers.update_project(tx, project.id, suspended=True)
    return told(entry, Result.REPEATED, "suspended after the backup")


def _payer_back(tx: Transaction, entry: Entry, payer: Customer | Project | None) -> Outcome:
    if payer is not None and payer.suspended and entry.detail.get("suspended") is False:
        return told(entry, Result.SUSPENDED, RESUMED)
    return lost(tx, entry)


def _deleted_payer(tx: Transaction, entry: Entry) -> Outcome | None:
    """It had no keys, so it gives no access."""
    name = entry.scope.partition(":")[2]
    find = customers.find_customer if _noun(entry) == "customers" else _project_named
    return None if find(tx, name) is None else told(entry, Result.LOST, "deleted after the backup; it is there again")


def _project_named(tx: Transaction, path: str) -> Project | None:
    return customers.find_project(tx, *split_project(path))


def _suspended_gateway(tx: Transaction, entry: Entry) -> Outcome:
    switch.set_suspended(tx, True)
    return told(entry, Result.REPEATED, "everybody was suspended after the backup")


def _gateway_back(tx: Transaction, entry: Entry) -> Outcome | None:
    return told(entry, Result.SUSPENDED, RESUMED) if switch.suspended(tx) else None


def _entered(enter: Callable[[Transaction, Entry], str | None], tx: Transaction, entry: Entry) -> Outcome:
    """An entry of a balance: what a customer paid is not lost, and what was taken back not given again."""
    if (lost := enter(tx, entry)) is not None:
        return told(entry, Result.LOST, lost)
    why = f"{entry.detail.get('amount')} {CURRENCY} booked again"
    return replace(told(entry, Result.REPEATED, why), denied=False)


def _limited(tx: Transaction, entry: Entry) -> Outcome:
    """A limit takes access away; raised or deleted later, it stays as it was."""
    if not limited_again(tx, entry):
        return told(entry, Result.LOST, "what limited it before does so again")
    return replace(told(entry, Result.REPEATED, "limited after the backup, by the lower numbers"), denied=False)


def _budgeted(tx: Transaction, entry: Entry) -> Outcome:
    """A budget takes access away, too."""
    if not budgeted_again(tx, entry):
        return lost(tx, entry)
    return replace(told(entry, Result.REPEATED, "set after the backup, by the lower amount"), denied=False)


# Upstreams and the vault


def _disabled_upstream(tx: Transaction, entry: Entry) -> Outcome:
    found = upstreams.find(tx, entry.scope.partition(":")[2])
    if found is None:
        return lost(tx, entry)
    upstreams.set_disabled(tx, found.id, True)
    return told(entry, Result.REPEATED, "disabled or deleted after the backup")


def _upstream_back(tx: Transaction, entry: Entry) -> Outcome:
    found = upstreams.find(tx, entry.scope.partition(":")[2])
    if found is None or not found.disabled:
        return lost(tx, entry)
    return told(entry, Result.SUSPENDED, "enabled later; left disabled")


def _withdraw_slot(access: Access, tx: Transaction, entry: Entry) -> Outcome:
    """What opened the vault at the time of the backup and was taken away must not open it again."""
    slot_id = entry.scope.partition(":")[2]
    table = slots.read_table(tx)
    others = [stored.slot for stored in table if stored.slot.id != slot_id]
    if len(others) == len(table):
        return told(entry, Result.LOST, "the slot is not in the backup")
    if not any(slot.scope is SlotScope.ALL for slot in others):
        return told(entry, Result.LOST, "it is the backup's only way into the vault: make another, then delete it")
    vault_rows.delete_slot(tx, slot_id)
    slots.seal_table(tx, access)
    return told(entry, Result.REPEATED, "deleted after the backup")


STEPS: Final[Mapping[str, Step]] = {
    "keys.revoke": end_key(KeyState.REVOKED),
    "keys.delete": end_key(KeyState.DELETED),
    "keys.suspend": end_key(KeyState.SUSPENDED),
    "keys.end_grace": end_grace,
    "keys.restore": key_back(KeyState.DELETED, "restored later; left deleted"),
    "keys.resume": key_back(KeyState.SUSPENDED, RESUMED),
    "customers.update": _customer,
    "projects.update": _project,
    "customers.delete": _deleted_payer,
    "projects.delete": _deleted_payer,
    "upstreams.disable": _disabled_upstream,
    "upstreams.delete": _disabled_upstream,
    "upstreams.enable": _upstream_back,
    "upstreams.test": _nothing,
    "balances.reseal": _nothing,
    "statements.create": issued_again,
    "statements.credit": issued_again,
    "statements.adjust": adjusted_again,
    "usage.reprice": repriced_again,
    "limits.set": _limited,
    "limits.delete": _mention("deleted after the backup; it holds again"),
    "budgets.set": _budgeted,
    "budgets.delete": _mention("deleted after the backup; it holds again"),
    "customers.never_capture": captures.marked_again,
    "customers.may_capture": _mention("the customer is marked again, where it was at the time of the backup"),
    "captures.stop": captures.ended_again,
    "captures.end": captures.ended_again,
    "captures.delete": captures.destroyed_again,
    "captures.expire": captures.destroyed_again,
    "captures.export": _nothing,
    "rollouts.rollback": rollouts.ended_again,
    "rollouts.pause": rollouts.ended_again,
    "rollouts.finish": rollouts.ended_again,
    "drills.start": _nothing,
    "drills.end": _nothing,
    "gateway.suspend": _suspended_gateway,
    "gateway.resume": _gateway_back,
    "vault.change-passphrase": _mention("the passphrase is the backup's again: gwctl vault change-passphrase"),
    "vault.test-recovery": _nothing,
}
"""By action."""

_OTHERS: Final[Mapping[str, Step]] = {
    "keys": suspended_key,
    "credentials": _mention("the upstream's credentials are the backup's: gwctl upstreams test"),
}
"""By noun, for the actions that have no step of their own."""
