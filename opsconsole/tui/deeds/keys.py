"""What one does to a key: make it, change what it may do, take access away and give it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from keyvault.domain import typed as parsers
from keyvault.domain.keys import DEFAULT_PROJECT, ENVIRONMENTS, UNCHANGED, KeyState, PolicyChange
from keyvault.domain.names import check_name, fold, split_project
from keyvault.errors import UsageError
from keyvault.keys.defaults import Defaults, defaults
from keyvault.secrets import Secret
from opsconsole.tui.deeds import forms
from opsconsole.tui.deeds.deed import Deed, Done, Field, Severity, Typed, Values, checked
from opsconsole.tui.deeds.effect import CUT, taken
from opsconsole.tui.deeds.forms import says, warns
from opsconsole.view.keys import words
from opsconsole.view.keys.snapshot import Awaited, KeyRow, KeysSnapshot
from opsconsole.view.text import Line, Span, Tone, line, printable

if TYPE_CHECKING:
    from keyvault.home import Home


@dataclass(frozen=True, slots=True)
class Fresh:
    """A new secret, on its way to the one dialog that shows it."""

    title: str
    remark: str
    awaited: Awaited
    secret: Secret


def new_key(known: KeysSnapshot, usual: Defaults, now: datetime, project: str = DEFAULT_PROJECT) -> Deed:
    """The form of a new key, filled with what the settings say."""
    names = {fold(name) for name in known.names}

    def free(name: str) -> None:
        check_name("key", name)
        if fold(name) in names:
            raise UsageError("there is such a key already")

    fields = (
        Field("name", "name", check=checked(free), required=True, example="such as mobile-app"),
        Field("project", "customer/project", project, checked(split_project), known.projects, True, required=True),
        Field("env", "environment", usual.env, choices=ENVIRONMENTS, required=True),
        forms.models_field(usual.policy, known.models),
        forms.expiry_field(forms.span_text(usual.expires), now),
        forms.rotation_field(usual.policy),
        forms.budget_field(),
        *forms.limit_fields({}),
    )

    def run(home: Home, typed: Typed) -> Done:
        return _make(home, typed, fields)

    def tells(values: Values) -> Sequence[Line]:
        wanted = values["project"]
        if wanted and fold(wanted) not in map(fold, known.projects) and checked(split_project)(wanted) is None:
            customer = wanted.partition("/")[0]
            missing = fold(customer) not in map(fold, known.customers)
            return [warns(f"{f'customer {customer} and ' if missing else ''}project {wanted} will be made, too")]
        return []

    return Deed("New key", "Create", run, fields, tells)


def _make(home: Home, typed: Typed, fields: Sequence[Field]) -> Done:
    from keyvault.domain.budgets import parse_budget
    from keyvault.metering.budgets import Terms

    rules = []
    if (text := typed.get("budget")) is not None:
        rules.append(home.budgets.of_new_key(Terms(*parse_budget(text))))
    if limits := forms.limit_change(typed, fields):
        rules.append(home.limits.of_key(limits))
    minted = home.keys.create(
        typed["name"],
        project=typed["project"],
        create_missing=True,
        env=typed["env"],
        policy=forms.policy_change(typed, fields).applied(defaults(home.settings).policy),
        expires_at=parsers.expiry(typed["expires"], home.clock.now()),
        rules=rules,
    )
    key = minted.key
    owner = f"{key.customer}/{key.project}"
    told = f"Key “{key.name}” created for {owner}"
    fresh = Fresh(told, "", Awaited(key.name, 1), minted.secret)
    return Done(f"created key {key.name} for {owner}", fresh)


def edit(row: KeyRow, known: KeysSnapshot, now: datetime) -> Deed:
    """Change what a key may do; what stays as it stands in the form stays as it is on record."""
    ends = forms.expires_text(row.key)
    expiry = forms.expiry_field(ends, now)
    kept = Field(expiry.id, expiry.label, ends, lambda text: None if text == ends else expiry.check(text))
    fields = (*forms.policy_fields(row.key.policy, known.models), kept)

    def run(home: Home, typed: Typed) -> Done:
        change: PolicyChange = forms.policy_change(typed, fields)
        text = typed["expires"] or parsers.NEVER
        expires = UNCHANGED if text == ends else parsers.expiry(text, home.clock.now())
        key = home.keys.update(row.name, policy=change, expires_at=expires)
        return Done(f"updated key {key.name}{taken(home)}")

    return Deed(f"Edit key {row.name}", "Save", run, fields, lambda values: forms.changes(values, fields))


def revoke(row: KeyRow, now: datetime) -> Deed:
    def run(home: Home, typed: Typed) -> Done:
        [key] = home.stops.revoke([row.name])
        return Done(f"revoked key {key.name}{taken(home, [key.id], cut=typed['cut'] == 'yes')}")

    told = [says("Its next request is refused, and every one after it, for good.", tone=Tone.PLAIN), *_user(row, now)]
    return Deed(
        f"Revoke key {row.name} ({row.project})", "Revoke", run, (_cut(),), lambda _values: told, Severity.MODERATE
    )


def suspend(row: KeyRow, now: datetime) -> Deed:
    def run(home: Home, typed: Typed) -> Done:
        key = home.keys.suspend(row.name)
        return Done(f"suspended key {key.name}{taken(home, [key.id], cut=typed['cut'] == 'yes')}")

    told = [says("Its requests are refused until it is resumed.", tone=Tone.PLAIN), *_user(row, now)]
    return Deed(f"Suspend key {row.name} ({row.project})", "Suspend", run, (_cut(),), lambda _values: told)


def resume(row: KeyRow) -> Deed:
    def run(home: Home, _typed: Typed) -> Done:
        key = home.keys.resume(row.name)
        still = f"; still refused, as {key.suspended_by} is suspended" if key.suspended_by else ""
        return Done(f"resumed key {key.name}{taken(home)}{still}")

    return Deed(
        f"Resume key {row.name}", "Resume", run, tells=lambda _values: [says("Its requests are admitted again.")]
    )


def delete(row: KeyRow, now: datetime) -> Deed:
    def run(home: Home, typed: Typed) -> Done:
        key = home.stops.delete(row.name)
        return Done(f"deleted key {key.name}; g d shows it{taken(home, [key.id], cut=typed['cut'] == 'yes')}")

    text = "It is refused at once and hidden. For seven days it can be restored; what it used stays in reports."
    told = [says(text, tone=Tone.PLAIN), *_user(row, now)]
    return Deed(
        f"Delete key {row.name} ({row.project})", "Delete", run, (_cut(),), lambda _values: told,
        Severity.SEVERE, row.name,
    )  # fmt: skip


def purge(row: KeyRow) -> Deed:
    def run(home: Home, _typed: Typed) -> Done:
        key = home.stops.delete(row.name, purge=True)
        return Done(f"deleted key {key.name} for good; its name is free")

    told = [says("It cannot be restored any more, and its name is free. What it used stays in reports.")]
    return Deed(
        f"Delete key {row.name} for good", "Delete for good", run, (), lambda _values: told, Severity.SEVERE, row.name
    )


def restore(row: KeyRow) -> Deed:
    def run(home: Home, _typed: Typed) -> Done:
        key = home.stops.restore(row.name)
        state = key.state_at(home.clock.now())
        return Done(f"restored key {key.name}; it is {state}, as it was{taken(home)}")

    told = [says("It comes back as it was when it was deleted, with the same secret.")]
    return Deed(f"Restore key {row.name}", "Restore", run, tells=lambda _values: told)


def ended(row: KeyRow) -> bool:
    """Whether nothing but deleting it is left to do."""
    return row.state in (KeyState.REVOKED, KeyState.DELETED)


def _cut() -> Field:
    return Field("cut", "end requests under way", CUT[0], choices=CUT, required=True)


def _user(row: KeyRow, now: datetime) -> list[Line]:
    """Who would notice."""
    used = [each for each in row.key.generations if each.last_used_at is not None]
    if not used:
        return [says("It was never used.")]
    last = max(used, key=lambda each: each.last_used_at or each.created_at)
    when = words.ago(last.last_used_at, now)
    by = printable(last.last_client or "an unnamed client")
    place = f" from {last.last_address}" if last.last_address else ""
    told = f"last used {'just now' if when == 'now' else f'{when} ago'} by {by}{place}"
    today = f", {words.counted(row.used.requests, 'request')} today" if row.used.requests else ""
    return [line(Span(told + today, Tone.WARNING if when == "now" else Tone.FAINT))]
