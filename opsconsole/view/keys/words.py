"""How keys, budgets and balances read: states with their signs, bars, ages, policies in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Final

from keyvault.domain.budgets import Budget, Period
from keyvault.domain.keys import KeyState, Policy
from keyvault.domain.limits import Limit
from keyvault.domain.names import exact_duration
from keyvault.money import PICO_PER_USD, format_usd
from opsconsole.view import numbers
from opsconsole.view.keys.snapshot import Cap, GroupRow, KeyRow, Row
from opsconsole.view.text import UNICODE, Glyphs, Span, Tone

BAR: Final = 8
NEAR: Final = 0.8
"""Of a budget: from here on it needs a person."""
SOON: Final = timedelta(days=7)
_MINUTES: Final = timedelta(minutes=2)
"""What is said in minutes is not said in seconds as it gets less."""

PER: Final[Mapping[Period, str]] = {
    Period.HOUR: "an hour",
    Period.DAY: "a day",
    Period.WEEK: "a week",
    Period.MONTH: "a month",
    Period.TOTAL: "in total",
}


def state(row: Row, glyphs: Glyphs = UNICODE) -> Span:
    """`● active`, `◐ rotating`, `‖ suspended`, `× revoked`."""
    if isinstance(row, KeyRow):
        return _key_state(row, glyphs)
    if isinstance(row, GroupRow) and (row.suspended or row.refused_with):
        return Span(f"{glyphs.paused} suspended", Tone.WARNING)
    return Span(f"{glyphs.dot} active", Tone.PLAIN)


def _key_state(row: KeyRow, glyphs: Glyphs) -> Span:
    match row.state:
        case KeyState.REVOKED:
            return Span(f"{glyphs.cross} revoked", Tone.FAINT)
        case KeyState.DELETED:
            return Span(f"{glyphs.cross} deleted", Tone.FAINT)
        case KeyState.EXPIRED:
            return Span(f"{glyphs.hollow} expired", Tone.WARNING)
        case KeyState.SUSPENDED:
            return Span(f"{glyphs.paused} suspended", Tone.WARNING)
    if row.key.suspended_by is not None:
        return Span(f"{glyphs.paused} suspended", Tone.WARNING)
    if row.rotating:
        return Span(f"{glyphs.half} rotating", Tone.ACCENT)
    return Span(f"{glyphs.dot} active", Tone.PLAIN)


def bar(share: float, width: int = BAR, glyphs: Glyphs = UNICODE) -> str:
    """`▰▰▰▱▱`: full only when all is gone, empty only when nothing is."""
    full, empty = glyphs.bar[0], glyphs.bar[1]
    filled = max(0, min(width, round(share * width)))
    if 0 < share < 1:
        filled = max(1, min(width - 1, filled))
    return full * filled + empty * (width - filled)


def cap_tone(cap: Cap) -> Tone:
    if cap.share >= 1:
        return Tone.ALARM if cap.budget.hard else Tone.WARNING
    return Tone.WARNING if cap.share >= NEAR else Tone.MONEY


def cap_sign(cap: Cap, glyphs: Glyphs) -> str:
    """A sign where a budget needs a person."""
    return {Tone.ALARM: glyphs.alarm, Tone.WARNING: glyphs.warning}.get(cap_tone(cap), "")


def amount(pico: int) -> str:
    """`100`, `61.20`: what somebody typed, or what was spent."""
    return format_usd(pico) if pico % PICO_PER_USD == 0 else numbers.dollars(pico)


def budget_words(budget: Budget) -> str:
    """`$ 100 a month`, `$ 5 a day for gpt-5*, only to warn`."""
    models = f" for {budget.model}" if budget.model else ""
    return f"$ {amount(budget.amount_pico)} {PER[budget.period]}{models}{'' if budget.hard else ', only to warn'}"


def of_whom(cap: Cap, row: Row) -> str:
    """Whose budget it is, empty for the row's own."""
    return "" if cap.budget.scope.kind is row.kind else cap.budget.scope.name


def limit_words(limit: Limit) -> str:
    """`60 rpm · 200k tpm · 4 at once`"""
    parts = [
        f"{_short(limit.rpm)} rpm" if limit.rpm is not None else "",
        f"{_short(limit.tpm)} tpm" if limit.tpm is not None else "",
        f"{_short(limit.parallel)} at once" if limit.parallel is not None else "",
    ]
    models = f" for {limit.model}" if limit.model else ""
    return " · ".join(filter(None, parts)) + models


def _short(number: int) -> str:
    for size, unit in ((1_000_000, "m"), (1_000, "k")):
        if number >= size and number % (size // 10) == 0:
            return f"{number / size:g}{unit}"
    return f"{number:,}"


def policy_words(policy: Policy) -> list[str]:
    """What a key may do, a sentence each; only what differs from everything at its default."""
    told = [", ".join(policy.models) if policy.models else "every model"]
    if policy.endpoints != ("default",):
        told.append("every endpoint" if "all" in policy.endpoints else f"only {', '.join(policy.endpoints)}")
    if policy.addresses:
        told.append(f"from {', '.join(policy.addresses)}")
    if policy.attribute:
        told.append(f"may name {policy.attribute} as payer")
    if not policy.isolation:
        told.append("sees every project's objects")
    if policy.pin:
        told.append("may choose a target")
    if policy.expose:
        told.append("sees target and cost")
    if policy.clamp:
        told.append("caps are lowered to what the money covers")
    if policy.bound_pico is not None:
        told.append(f"$ {amount(policy.bound_pico)} where a cost has no bound")
    if policy.free_aborts:
        told.append("pays nothing for answers it leaves")
    return told


def every(seconds: int | None) -> str:
    return "never" if seconds is None else exact_duration(timedelta(seconds=seconds))


def ago(moment: datetime | None, now: datetime, glyphs: Glyphs = UNICODE) -> str:
    """`now` for the last minute, `4 min`, `3 h`, `9 days`."""
    if moment is None:
        return glyphs.unknown
    span = now - moment
    if span < timedelta(minutes=1):
        return "now"
    return numbers.duration(max(span, timedelta(seconds=100))) if span >= timedelta(seconds=90) else "1 min"


def counted(number: int, thing: str) -> str:
    """`1 request`, `1,204 requests`"""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def due(moment: datetime | None, now: datetime, zone: tzinfo | None, glyphs: Glyphs = UNICODE) -> Span:
    """When something ends or is due: faint while it is far, with a sign when it is near or past."""
    if moment is None:
        return Span(glyphs.unknown, Tone.FAINT)
    if moment <= now:
        late = ago(moment, now)
        return Span(f"{glyphs.warning} {late}" if late == "now" else f"{glyphs.warning} {late} ago", Tone.WARNING)
    left = moment - now
    if left <= SOON:
        return Span(f"{glyphs.warning} in {numbers.duration(max(left, _MINUTES))}", Tone.WARNING)
    return Span(day(moment, now, zone), Tone.FAINT)


def day(moment: datetime, now: datetime, zone: tzinfo | None) -> str:
    """`13:00` today, `12 Nov` this year, `12 Nov 2027` in another."""
    local, here = moment.astimezone(zone), now.astimezone(zone)
    if local.date() == here.date():
        return f"{local:%H:%M}"
    return f"{local.day} {local:%b}" if local.year == here.year else f"{local.day} {local:%b %Y}"
