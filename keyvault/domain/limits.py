"""Rate limits of a scope: requests a minute, tokens a minute, requests at once."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from keyvault.domain.keys import UNCHANGED, Unchanged
from keyvault.domain.scopes import ScopeRef, matches_alias
from keyvault.errors import UsageError

KINDS: Final = ("rpm", "tpm", "parallel")
LARGEST: Final = {"rpm": 10**9, "tpm": 10**12, "parallel": 10**6}
NONE: Final = "none"

_AMOUNT = re.compile(r"([0-9]{1,13}(?:\.[0-9]{1,6})?)([kmb]?)\Z")
_UNITS: Final = {"": 1, "k": 1_000, "m": 1_000_000, "b": 1_000_000_000}


@dataclass(frozen=True, slots=True)
class Limit:
    id: int
    scope: ScopeRef
    model: str
    """A pattern of aliases such as `gpt-5*`; empty: all of them together."""
    rpm: int | None
    tpm: int | None
    parallel: int | None
    """None: not limited."""

    @property
    def limits(self) -> bool:
        """Whether there is anything it limits."""
        return (self.rpm, self.tpm, self.parallel) != (None, None, None)

    def covers(self, model: str) -> bool:
        return matches_alias(self.model, model)


@dataclass(frozen=True, slots=True)
class LimitChange:
    """What of a limit becomes another; what is `UNCHANGED` stays, None is no limit."""

    rpm: int | Unchanged | None = UNCHANGED
    tpm: int | Unchanged | None = UNCHANGED
    parallel: int | Unchanged | None = UNCHANGED

    def __bool__(self) -> bool:
        """Whether it changes anything."""
        return any(getattr(self, kind) is not UNCHANGED for kind in KINDS)

    def applied(self, limit: Limit) -> Limit:
        return replace(limit, **{k: value for k in KINDS if (value := getattr(self, k)) is not UNCHANGED})


def parse_change(rpm: str | None, tpm: str | None, parallel: str | None) -> LimitChange:
    """What people ask for by `60`, `100k`, `2m` or `none`; None stays. Raises `UsageError`."""
    return LimitChange(_amount("rpm", rpm), _amount("tpm", tpm), _amount("parallel", parallel))


def _amount(kind: str, text: str | None) -> int | Unchanged | None:
    if text is None:
        return UNCHANGED
    if text.strip().lower() == NONE:
        return None
    match = _AMOUNT.match(text.strip().lower().replace("_", ""))
    value = Decimal(match[1]) * _UNITS[match[2]] if match else Decimal(0)
    if not 1 <= value <= LARGEST[kind] or value != int(value):
        hint = f"a whole number from 1 to {LARGEST[kind]:,}, such as 60, 100k or 2m; none takes the limit away"
        raise UsageError(f"not a limit: --{kind} {text[:40]!a}", hint=hint)
    return int(value)
