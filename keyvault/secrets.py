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


REDACTED: Final = "[redacted]"
_PREFIX: Final = "(?:sk|pk|rk|gsk|xai|pplx|hf|r8|fw|tgp|nvapi|csk|ghp|github_pat|glpat|key)"
_SHAPES: Final = (
    rf"(?<![a-z0-9]){_PREFIX}[-_][\w.-]{{12,}}",  # a provider's, a code host's or a gateway's key
    r"\bAIza[\w-]{20,} | \bA[KS]IA[0-9A-Z]{12,} | \beyJ[\w-]{8,}\.[\w.-]+",  # Google, AWS, JWT
    r"(?<=bearer\ )\S{8,} | (?<=basic\ )[a-z0-9+/=]{8,}",  # what a header carried
    r"(?<=://)[^/@\s]+(?=@)",  # user and password of a URL
)
_LIKELY: Final = (
    rf"\b(?:{_PREFIX}|or)[-_][\w*.-]{{6,}} | \bAIza[\w*-]{{10,}}",  # shortened, or with stars in it
    r"(?<=bearer\ )\S+",
    r"[a-z0-9+/_-]{48,}=*",  # any long random run
)
_CREDENTIAL: Final = re.compile(" | ".join(_SHAPES), re.IGNORECASE | re.VERBOSE)
_CREDENTIAL_OR_LIKE: Final = re.compile(" | ".join((*_SHAPES, *_LIKELY)), re.IGNORECASE | re.VERBOSE)


_NOT_PLAIN: Final = rf"(?!{_PREFIX}[-_] | AIza | A[KS]IA)"
_PLAIN: Final = re.compile(
    rf"(?:chatcmpl|resp|msg)[-_]{_NOT_PLAIN}[a-z0-9]+"  # found in half the time
    rf" | {_NOT_PLAIN}[a-z]{{2,12}}[-_]{_NOT_PLAIN}[a-z0-9]+ | [0-9a-f]{{8}}(?:-[0-9a-f]{{4,12}}){{4}}",
    re.IGNORECASE | re.VERBOSE,
)


def is_plain(identifier: str) -> bool:
    """Whether an identifier is such as providers make (`chatcmpl-…`, a UUID), which no credential can be in. One that
    is not may be plain all the same: `scrub` can tell, in five times the time."""
    kind, _, rest = identifier.partition("-")
    if kind == "chatcmpl" and rest.isalnum() and rest.isascii() and rest[0] not in "aA":  # nearly always
        return True
    return _PLAIN.fullmatch(identifier) is not None


def scrub(text: str, known: Iterable[str] = ()) -> str:
    """`text` without the `known` secrets and without anything shaped like a credential of anybody."""
    for secret in known:
        if secret:
            text = text.replace(secret, REDACTED)
    return _CREDENTIAL.sub(REDACTED, text)


def scrub_foreign(text: str, mask: str = REDACTED) -> str:
    """A text that somebody else wrote, such as a provider's error, without what is or might be a credential: shortened
    ones and every long random run too, which in our own texts are digests and paths."""
    return _CREDENTIAL_OR_LIKE.sub(mask, text)
