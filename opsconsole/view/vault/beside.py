"""The pane of the Vault view: the upstream under the cursor, and the vault below it."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from opsconsole.view import numbers
from opsconsole.view.text import UNICODE, Glyphs, Line, Span, Tone, line, printable
from opsconsole.view.vault.rows import state_span
from opsconsole.view.vault.snapshot import Account, VaultFacts, VaultSnapshot

LABEL_WIDTH: Final = 10


def beside(snapshot: VaultSnapshot, account: Account | None, glyphs: Glyphs = UNICODE) -> tuple[Line, ...]:
    """Lines for the pane; they are cut at its right edge."""
    lines: list[Line] = []
    if account is not None:
        lines += [*_upstream(account, snapshot.taken_at, glyphs), ()]
    if snapshot.vault is not None:
        lines += _vault(snapshot.vault, snapshot.taken_at, glyphs)
    return tuple(lines)


def _upstream(account: Account, now: datetime, glyphs: Glyphs) -> list[Line]:
    upstream, credential = account.upstream, account.credential
    lines = [
        line(Span(upstream.name, Tone.STRONG), Span(f"  {credential.label}" if credential else "", Tone.FAINT)),
        _fact("state", state_span(account, glyphs)),
        _fact("provider", Span(upstream.provider)),
        _fact("base URL", Span(printable(upstream.base_url))),
        _fact("dialects", Span(", ".join(sorted(upstream.dialects)))),
    ]
    if upstream.allow_private:
        lines.append(_fact("network", Span("may be private")))
    if credential is None:
        return [*lines, _fact("credential", Span("none needed", Tone.FAINT))]
    lines.append(_fact("since", Span(f"{numbers.duration(now - credential.changed_at)} ago")))
    if credential.until is not None:
        lines.append(_fact("until", Span(f"{numbers.duration(credential.until - now)} from now, then destroyed")))
    if credential.aside_at is not None:
        told = f"{numbers.duration(now - credential.aside_at)} ago: {printable(credential.aside_note)}"
        lines.append(_fact("refused", Span(told, Tone.ALARM)))
    return [*lines, _fact("last test", _test(account, now))]


def _test(account: Account, now: datetime) -> Span:
    credential = account.credential
    if credential is None or credential.tested_at is None:
        return Span("untried", Tone.WARNING)
    note = f", {printable(credential.test_note)}" if credential.test_note else ""
    return Span(f"{numbers.duration(now - credential.tested_at)} ago{note}")


def _vault(facts: VaultFacts, now: datetime, glyphs: Glyphs) -> list[Line]:
    lines = [
        line(Span("vault", Tone.STRONG), Span(f"  {facts.vault_id}", Tone.FAINT)),
        _fact("opens by", Span(", ".join(f"{slot.id} ({slot.kind})" for slot in facts.slots))),
        _fact("records", Span(f"{facts.records:,} sealed")),
        *(
            _fact("data key", Span(f"{key.compartment} {key.number}  since {numbers.duration(now - key.created_at)}"))
            for key in facts.data_keys
            if key.state == "primary"
        ),
    ]
    if facts.old_pepper_tokens:
        lines.append(_fact("pepper", Span(f"{facts.old_pepper_tokens:,} tokens still need an old one", Tone.WARNING)))
    for duty, at in facts.last_done.items():
        told = "never" if at is None else f"{numbers.duration(now - at)} ago"
        lines.append(line(Span(f"{duty.replace('_', ' ')}  ", Tone.FAINT), Span(told)))
    return lines


def _fact(name: str, value: Span) -> Line:
    return (Span(f"{name:<{LABEL_WIDTH}} ", Tone.FAINT), value)
