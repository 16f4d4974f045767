"""How what people type becomes values: lists, numbers, moments, expiries. The same on the command line and in forms."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Final

from keyvault.domain.names import parse_duration
from keyvault.errors import UsageError

NEVER: Final = "never"
_PLAIN: Final = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")


def parts(text: str | None) -> tuple[str, ...]:
    """`a, b` → `("a", "b")`."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def number(text: str) -> Decimal:
    """A plain decimal such as `1.15`; raises `UsageError`."""
    if not _PLAIN.fullmatch(text.strip()):
        raise UsageError(f"not a plain number: {text[:40]!a}", hint="write it like 1.15")
    return Decimal(text.strip())


def moment(text: str, now: datetime, *, past: bool, zone: tzinfo = UTC) -> datetime:
    """`90d` from now (ago with `past`), a date, or a date and time; one that names no zone is of `zone`."""
    try:
        if text[:1].isdigit() and text[-1:].isalpha() and text[-1:] != "Z":
            return now - parse_duration(text) if past else now + parse_duration(text)
        parsed = datetime.fromisoformat(text)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        hint = "write it like 24h, 2026-10-01 or 2026-10-01T12:00Z"
        raise UsageError(f"not a time: {text[:40]!a}", hint=hint) from None


def expiry(text: str, now: datetime) -> datetime | None:
    """When something ends; None for `never`. Raises `UsageError`."""
    return None if text == NEVER else moment(text, now, past=False)


def every(text: str) -> int | None:
    """Seconds between two times of something; None for `never`. Raises `UsageError`."""
    return None if text == NEVER else int(parse_duration(text).total_seconds())
