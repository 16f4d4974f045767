"""From a snapshot to the rows of the Vault table."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Final

from opsconsole.view import health, numbers
from opsconsole.view.filters import Filter
from opsconsole.view.table import Column, Heading, Sort, Table, name_column, write
from opsconsole.view.text import UNICODE, Glyphs, Span, Tone
from opsconsole.view.vault.snapshot import Account, VaultSnapshot

BY_NAME: Final = Sort("upstream", descending=False)
_TROUBLE: Final = {"refused": Tone.ALARM, "disabled": Tone.WARNING}
_ORDER: Final = ("refused", "disabled", "staged", "tested", "previous", "current", "open")


def symbol(state: str, glyphs: Glyphs) -> str:
    """The mark that stands with a state, so that colour is never alone."""
    return {
        "refused": glyphs.alarm,
        "disabled": glyphs.paused,
        "current": glyphs.dot,
        "open": glyphs.dot,
    }.get(state, glyphs.hollow)


def state_span(account: Account, glyphs: Glyphs) -> Span:
    words = {"current": "in use", "open": "in use", "previous": "old, works on"}.get(account.state, account.state)
    return Span(f"{symbol(account.state, glyphs)} {words}", _TROUBLE.get(account.state, Tone.PLAIN))


def _traffic(account: Account, glyphs: Glyphs) -> Span:
    if account.traffic is None:
        return Span(glyphs.unknown, Tone.FAINT)
    mark, _, words = health.describe(account.traffic, glyphs)
    return Span(f"{mark.text}{words.text.strip()}", words.tone)


def _ago(at: datetime | None, now: datetime, glyphs: Glyphs) -> Span:
    return Span(glyphs.unknown if at is None else numbers.duration(now - at), Tone.FAINT)


def _tested(account: Account, now: datetime, glyphs: Glyphs) -> Span:
    credential, upstream = account.credential, account.upstream
    at = credential.tested_at if credential else upstream.verified_at
    note = credential.test_note if credential else upstream.verified_note
    if at is None:
        return Span("untried", Tone.FAINT)
    return Span(f"{numbers.duration(now - at)} ago  {note}", Tone.FAINT)


def _columns(now: datetime, glyphs: Glyphs) -> tuple[Column[Account], ...]:
    return (
        name_column("upstream", "UPSTREAM", lambda account: account.upstream.name),
        name_column("account", "ACCOUNT", lambda account: account.credential.label if account.credential else ""),
        Column(
            Heading("state", "STATE", 0, right=False, descending=False),
            lambda account: float(_ORDER.index(account.state)),
            lambda account: state_span(account, glyphs),
        ),
        Column(
            Heading("traffic", "LAST MINUTES", 2, right=False),
            lambda account: account.traffic.per_second if account.traffic else None,
            partial(_traffic, glyphs=glyphs),
        ),
        Column(
            Heading("weight", "WEIGHT", 5),
            lambda account: account.credential.weight if account.credential else None,
            lambda account: Span(numbers.count(account.credential.weight if account.credential else None, glyphs)),
        ),
        Column(
            Heading("since", "SINCE", 4),
            lambda account: account.credential.changed_at.timestamp() if account.credential else None,
            lambda account: _ago(account.credential.changed_at if account.credential else None, now, glyphs),
        ),
        Column(
            Heading("provider", "PROVIDER", 3, right=False, descending=False),
            lambda account: account.upstream.provider,
            lambda account: Span(account.upstream.provider, Tone.FAINT),
        ),
        Column(
            Heading("tested", "LAST TEST", 6, right=False),
            lambda account: (
                account.credential.tested_at.timestamp()
                if account.credential and account.credential.tested_at
                else None
            ),
            lambda account: _tested(account, now, glyphs),
        ),
    )


def table(
    snapshot: VaultSnapshot,
    sort: Sort = BY_NAME,
    wanted: Filter = Filter(),  # noqa: B008 - frozen
    glyphs: Glyphs = UNICODE,
) -> Table:
    """The written table of a snapshot."""
    return write(
        snapshot.accounts,
        _columns(snapshot.taken_at, glyphs),
        sort,
        key=lambda account: account.key,
        names=lambda account: (*account.key, account.state, account.upstream.provider),
        wanted=wanted,
        usual=BY_NAME,
    )
