"""A capture: whose requests are kept whole, how many of them, for how long, and what is taken out of them first."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from keyvault.domain.names import parse_duration
from keyvault.domain.scopes import ScopeRef
from keyvault.errors import UsageError

EVERYTHING: Final = "all"
"""In the place of a scope: whoever calls."""
WHOLE_PPM: Final = 1_000_000
LONGEST: Final = timedelta(days=31)
LONGEST_KEPT: Final = timedelta(days=366)
MOST: Final = 1_000_000
MOST_BYTES: Final = 10**12

_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,4})?)\s*%\Z")
_SIZE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)\s*(kb|mb|gb|)\Z")
_BYTES: Final = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}


class Personal(StrEnum):
    """What of a person can be found by its shape."""

    EMAIL = "email"
    PHONE = "phone"
    CARD = "card"


class Ended(StrEnum):
    """Why a capture takes no more."""

    TIME = "time"
    COUNT = "count"
    BYTES = "bytes"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Plan:
    """What never changes about a capture."""

    most: int
    """So many exchanges are drawn, those included for which there is no room or no time then."""
    max_bytes: int
    """So much on disk."""
    keep_seconds: int
    """How long it is kept once it has ended."""
    redact: tuple[str, ...] = ()
    """Members of `Personal`."""
    patterns: tuple[str, ...] = ()
    """Regular expressions of the operator's own."""

    def written(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def read(cls, written: dict[str, Any]) -> Plan:
        lists = {name: tuple(written[name]) for name in ("redact", "patterns")}
        return cls(**{**written, **lists})


@dataclass(frozen=True, slots=True)
class Capture:
    id: int
    scope: ScopeRef | None
    """None: whoever calls."""
    sample_ppm: int
    plan: Plan
    record_id: str
    """Of the sealed record with its key; also the name of its directory."""
    created_at: datetime
    until: datetime
    ended: bool
    ended_at: datetime | None
    reason: Ended | None
    taken: int
    dropped: int
    """Exchanges of the sample there was no room or no time for."""
    bytes: int

    @property
    def name(self) -> str:
        """As audit entries and people call it: `capture:3`."""
        return f"capture:{self.id}"

    @property
    def of(self) -> str:
        return EVERYTHING if self.scope is None else str(self.scope)

    @property
    def keep_until(self) -> datetime:
        """When it is deleted by itself, unless it ends sooner than is known now."""
        return min(self.ended_at or self.until, self.until) + timedelta(seconds=self.plan.keep_seconds)

    def over(self, now: datetime) -> Ended | None:
        """Why it ends now; None where it goes on, or has ended already."""
        if self.ended:
            return None
        if now >= self.until:
            return Ended.TIME
        if self.taken + self.dropped >= self.plan.most:
            return Ended.COUNT
        return Ended.BYTES if self.bytes >= self.plan.max_bytes else None


def parse_share(text: str) -> int:
    """`10%` → 100,000 millionths. Raises `UsageError`."""
    match = _SHARE.match(text.strip())
    ppm = Decimal(match[1]) * 10_000 if match else Decimal(0)
    if not 0 < ppm <= WHOLE_PPM:
        raise UsageError(f"not a share: {text[:40]!a}", hint="write it like 10% or 0.5%, at most 100%")
    return int(ppm)


def parse_size(text: str) -> int:
    """`500MB` → bytes. Raises `UsageError`."""
    match = _SIZE.match(text.strip().lower())
    size = int(Decimal(match[1]) * _BYTES[match[2]]) if match else 0
    if not 10**6 <= size <= MOST_BYTES:
        raise UsageError(f"not a size: {text[:40]!a}", hint="write it like 500MB or 2GB, from 1MB to 1000GB")
    return size


def parse_redactions(texts: tuple[str, ...]) -> tuple[str, ...]:
    """`email,phone` or `all`. Raises `UsageError`."""
    found = [part.strip().lower() for text in texts for part in text.split(",") if part.strip()]
    if found == [EVERYTHING]:
        found = [each.value for each in Personal]
    for each in found:
        if each not in set(Personal):
            raise UsageError(f"not a redaction: {each[:40]!a}", hint=f"{', '.join(Personal)} or all")
    if texts and not found:
        raise UsageError("--redact names nothing", hint="email, phone, card or all")
    return tuple(each.value for each in Personal if each.value in found)


def parse_span(option: str, text: str, longest: timedelta) -> timedelta:
    """A duration that is more than nothing. Raises `UsageError`."""
    found = parse_duration(text)
    if not timedelta() < found <= longest:
        raise UsageError(f"{option} {text.strip()[:40]} is too long or nothing", hint=f"at most {longest.days}d")
    return found
