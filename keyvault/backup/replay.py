"""What happened after a backup, done again as far as it took access away or moved money; what the backup cannot vouch
for is stopped.

One row of `STEPS` for each kind of audit entry. A denial (revoke, suspend, delete, disable) is repeated, and so is
every entry of a balance. A key that
changed in any other way is suspended: the backup holds a secret or a policy that was replaced, and nobody can tell
whether for a reason. Access that was given back later is not given back again. What only gave something (a new key, a
route, a price) is lost, and listed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from keyvault import audit
from keyvault.audit import Entry
from keyvault.backup import prepaid
from keyvault.backup.budgets import budgeted_again
from keyvault.backup.limits import limited_again
from keyvault.backup.outcomes import Outcome, Result
from keyvault.backup.rollouts import ended_again
from keyvault.backup.statements import adjusted_again, issued_again, repriced_again
from keyvault.clock import to_ms
from keyvault.domain.balances import EntryKind
from keyvault.domain.captures import Capture, Ended
from keyvault.domain.keys import Customer, GenerationState, Key, KeyState, Project
from keyvault.domain.names import split_project
from keyvault.domain.vault import SlotScope
from keyvault.errors import Tampered
from keyvault.keys import rotation
from keyvault.metering.spending import Spending
from keyvault.money import CURRENCY
from keyvault.storage import audit as audit_rows
from keyvault.storage import captures, customers, epochs, switch, upstreams
from keyvault.storage import keys as key_rows
from keyvault.storage import vault as vault_rows
from keyvault.storage.engine import Transaction
from keyvault.vault import slots
from keyvault.vault.generations import Access
from keyvault.vault.manifest import SealKeys

_RESUMED: Final = "resumed later; left suspended"

Step = Callable[[Transaction, Entry], Outcome | None]
"""Does one entry again in an open transaction; None where there is nothing to tell."""


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
    found = [steps.get(entry.action, _OTHERS.get(_noun(entry), _lost))(tx, entry) for entry in entries]
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


def _told(entry: Entry, result: Result, why: str) -> Outcome:
    return Outcome(entry.scope, entry.action, result, why, denied=result is not Result.LOST)


def _lost(_tx: Transaction, entry: Entry) -> Outcome:
    return _told(entry, Result.LOST, "it is not in the backup")


def _mention(why: str) -> Step:
    """For what cannot be done again, and somebody must know."""
    return lambda _tx, entry: _told(entry, Result.LOST, why)


def _nothing(_tx: Transaction, _entry: Entry) -> None:
    """It changed nothing that counts."""


# Keys


def _key(tx: Transaction, entry: Entry) -> Key | None:
    """By its id, for names are given again; entries of before ids were written have the name alone."""
    public_id = entry.detail.get("id")
    if public_id is not None:
        return key_rows.find_by_public_id(tx, str(public_id))
    return key_rows.find(tx, entry.scope.partition(":")[2])


def _gone(entry: Entry) -> Outcome:
    return _told(entry, Result.LOST, "the key is not in the backup; its secret is refused")


def _end_key(state: KeyState) -> Step:
    def step(tx: Transaction, entry: Entry) -> Outcome:
        key = _key(tx, entry)
        if key is None:
            return _gone(entry)
        if state is KeyState.DELETED:
            key_rows.delete(tx, key.id, to_ms(entry.at))
            if entry.detail.get("purged"):
                key_rows.free_name(tx, key)
        elif key.state not in _FOLLOWS[state]:
            key_rows.set_state(tx, key.id, state)
        return _told(entry, Result.REPEATED, f"{state.value} after the backup")

    return step


_FOLLOWS: Final[Mapping[KeyState, frozenset[KeyState]]] = {
    KeyState.SUSPENDED: frozenset({KeyState.SUSPENDED, KeyState.DELETED, KeyState.REVOKED}),
    KeyState.REVOKED: frozenset({KeyState.REVOKED}),
}
"""What a key may be already so that a denial leaves it as it is."""


def _end_grace(tx: Transaction, entry: Entry) -> Outcome:
    """The old secret was ended early. It may be the active one of the backup: then the key is suspended."""
    key = _key(tx, entry)
    if key is None:
        return _gone(entry)
    old = [g for g in key.generations if g.state is GenerationState.GRACE]
    for generation in old:
        rotation.expire(tx, key, generation, entry.at)
    if not old:
        return _suspended_key(tx, entry)
    return replace(_told(entry, Result.REPEATED, "the old secret was ended after the backup"), denied=False)


def _suspended_key(tx: Transaction, entry: Entry) -> Outcome:
    key = _key(tx, entry)
    if key is None:
        return _gone(entry)
    if key.state is KeyState.ACTIVE:
        key_rows.set_state(tx, key.id, KeyState.SUSPENDED)
    verb = entry.action.partition(".")[2]
    return _told(entry, Result.SUSPENDED, f"changed after the backup ({verb})")


def _key_back(left: KeyState, why: str) -> Step:
    """It was let in again later, which is not repeated."""

    def step(tx: Transaction, entry: Entry) -> Outcome:
        key = _key(tx, entry)
        if key is None or key.state is not left:
            return _suspended_key(tx, entry)
        return _told(entry, Result.SUSPENDED, why)

    return step


# Whoever pays, and the gateway itself


def _customer(tx: Transaction, entry: Entry) -> Outcome:
    customer = customers.find_customer(tx, entry.scope.partition(":")[2])
    denied, money = bool(entry.detail.get("suspended")), "multiplier_ppm" in entry.detail
    if customer is None or not (denied or money):
        return _payer_back(tx, entry, customer)
    customers.update_customer(tx, customer.id, suspended=True)
    if denied:
        return _told(entry, Result.REPEATED, "suspended after the backup")
    return _told(entry, Result.SUSPENDED, "its multiplier was changed after the backup")


def _project(tx: Transaction, entry: Entry) -> Outcome:
    project = _project_named(tx, entry.scope.partition(":")[2])
    if project is None or not entry.detail.get("suspended"):
        return _payer_back(tx, entry, project)
    customers.update_project(tx, project.id, suspended=True)
    return _told(entry, Result.REPEATED, "suspended after the backup")


def _payer_back(tx: Transaction, entry: Entry, payer: Customer | Project | None) -> Outcome:
    if payer is not None and payer.suspended and entry.detail.get("suspended") is False:
        return _told(entry, Result.SUSPENDED, _RESUMED)
    return _lost(tx, entry)


def _deleted_payer(tx: Transaction, entry: Entry) -> Outcome | None:
    """It had no keys, so it gives no access."""
    name = entry.scope.partition(":")[2]
    find = customers.find_customer if _noun(entry) == "customers" else _project_named
    return None if find(tx, name) is None else _told(entry, Result.LOST, "deleted after the backup; it is there again")


def _project_named(tx: Transaction, path: str) -> Project | None:
    return customers.find_project(tx, *split_project(path))


def _suspended_gateway(tx: Transaction, entry: Entry) -> Outcome:
    switch.set_suspended(tx, True)
    return _told(entry, Result.REPEATED, "everybody was suspended after the backup")


def _gateway_back(tx: Transaction, entry: Entry) -> Outcome | None:
    return _told(entry, Result.SUSPENDED, _RESUMED) if switch.suspended(tx) else None


def _entered(enter: Callable[[Transaction, Entry], str | None], tx: Transaction, entry: Entry) -> Outcome:
    """An entry of a balance: what a customer paid is not lost, and what was taken back not given again."""
    if (lost := enter(tx, entry)) is not None:
        return _told(entry, Result.LOST, lost)
    why = f"{entry.detail.get('amount')} {CURRENCY} booked again"
    return replace(_told(entry, Result.REPEATED, why), denied=False)


def _limited(tx: Transaction, entry: Entry) -> Outcome:
    """A limit takes access away; raised or deleted later, it stays as it was."""
    if not limited_again(tx, entry):
        return _told(entry, Result.LOST, "what limited it before does so again")
    return replace(_told(entry, Result.REPEATED, "limited after the backup, by the lower numbers"), denied=False)


# Captures, and who is never captured


def _marked(tx: Transaction, entry: Entry) -> Outcome:
    customer = customers.find_customer(tx, entry.scope.partition(":")[2])
    if customer is None:
        return _lost(tx, entry)
    if not customer.never_capture:
        captures.mark(tx, customer.id, to_ms(entry.at))
    return _told(entry, Result.REPEATED, "nothing of it is captured since the backup")


def _capture_ended(tx: Transaction, entry: Entry) -> Outcome | None:
    capture = _capture(tx, entry)
    if capture is None or capture.ended:
        return None
    captures.end(tx, capture.id, Ended(entry.detail.get("reason", Ended.STOPPED)), to_ms(entry.at))
    return _told(entry, Result.REPEATED, "ended after the backup")


def _capture_destroyed(tx: Transaction, entry: Entry) -> Outcome | None:
    """Its key must not come back: copies of what it opens may still be about."""
    capture = _capture(tx, entry)
    if capture is None:
        return None
    vault_rows.delete_record(tx, capture.record_id)
    captures.delete(tx, capture.id)
    return _told(entry, Result.REPEATED, "destroyed after the backup")


def _capture(tx: Transaction, entry: Entry) -> Capture | None:
    """By the name of its key, for after a restore numbers are given again."""
    found = captures.every(tx)
    return next((each for each in found if each.record_id == entry.detail.get("record")), None)


def _budgeted(tx: Transaction, entry: Entry) -> Outcome:
    """A budget takes access away, too."""
    if not budgeted_again(tx, entry):
        return _lost(tx, entry)
    return replace(_told(entry, Result.REPEATED, "set after the backup, by the lower amount"), denied=False)


# Upstreams and the vault


def _disabled_upstream(tx: Transaction, entry: Entry) -> Outcome:
    found = upstreams.find(tx, entry.scope.partition(":")[2])
    if found is None:
        return _lost(tx, entry)
    upstreams.set_disabled(tx, found.id, True)
    return _told(entry, Result.REPEATED, "disabled or deleted after the backup")


def _upstream_back(tx: Transaction, entry: Entry) -> Outcome:
    found = upstreams.find(tx, entry.scope.partition(":")[2])
    if found is None or not found.disabled:
        return _lost(tx, entry)
    return _told(entry, Result.SUSPENDED, "enabled later; left disabled")


def _withdraw_slot(access: Access, tx: Transaction, entry: Entry) -> Outcome:
    """What opened the vault at the time of the backup and was taken away must not open it again."""
    slot_id = entry.scope.partition(":")[2]
    table = slots.read_table(tx)
    others = [stored.slot for stored in table if stored.slot.id != slot_id]
    if len(others) == len(table):
        return _told(entry, Result.LOST, "the slot is not in the backup")
    if not any(slot.scope is SlotScope.ALL for slot in others):
        return _told(entry, Result.LOST, "it is the backup's only way into the vault: make another, then delete it")
    vault_rows.delete_slot(tx, slot_id)
    slots.seal_table(tx, access)
    return _told(entry, Result.REPEATED, "deleted after the backup")


STEPS: Final[Mapping[str, Step]] = {
    "keys.revoke": _end_key(KeyState.REVOKED),
    "keys.delete": _end_key(KeyState.DELETED),
    "keys.suspend": _end_key(KeyState.SUSPENDED),
    "keys.end_grace": _end_grace,
    "keys.restore": _key_back(KeyState.DELETED, "restored later; left deleted"),
    "keys.resume": _key_back(KeyState.SUSPENDED, _RESUMED),
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
    "customers.never_capture": _marked,
    "customers.may_capture": _mention("the customer is marked again, where it was at the time of the backup"),
    "captures.stop": _capture_ended,
    "captures.end": _capture_ended,
    "captures.delete": _capture_destroyed,
    "captures.expire": _capture_destroyed,
    "captures.export": _nothing,
    "rollouts.rollback": ended_again,
    "rollouts.pause": ended_again,
    "rollouts.finish": ended_again,
    "drills.start": _nothing,
    "drills.end": _nothing,
    "gateway.suspend": _suspended_gateway,
    "gateway.resume": _gateway_back,
    "vault.change-passphrase": _mention("the passphrase is the backup's again: gwctl vault change-passphrase"),
    "vault.test-recovery": _nothing,
}
"""By action."""

_OTHERS: Final[Mapping[str, Step]] = {
    "keys": _suspended_key,
    "credentials": _mention("the upstream's credentials are the backup's: gwctl upstreams test"),
}
"""By noun, for the actions that have no step of their own."""
