"""`Secret`: a value that cannot be shown by accident.

It is masked in `repr`, `str`, `format`, logging and tracebacks, refuses to be pickled, copied or JSON-encoded, and
gives its text only through `reveal()`, so that every place which handles plain text can be found by one grep.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from typing import Final, NoReturn

MASK: Final = "Secret(…)"


class Secret:
    """A secret text. `reveal()` is the only way to its value."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        return bool(self._value)

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError("a Secret cannot be copied or serialised")

    __copy__ = __deepcopy__ = __reduce__ = __reduce_ex__ = __getstate__ = _refuse


_CREDENTIAL: Final = re.compile(
    r"(?i)(?<![a-z0-9])(?:sk|pk|rk|gsk|xai|key|pplx|hf|r8)[-_][A-Za-z0-9_\-.]{12,}|AIza[A-Za-z0-9_-]{20,}|bearer\s+[A-Za-z0-9_\-.=+/]{12,}"
)


def scrub(text: str, known: Iterable[str] = ()) -> str:
    """`text` without the `known` secrets and without anything shaped like a provider's or a gateway's key."""
    for secret in known:
        if secret:
            text = text.replace(secret, "[redacted]")
    return _CREDENTIAL.sub("[redacted]", text)
