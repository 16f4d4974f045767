"""Taking personal data out of texts: e-mail addresses, telephone numbers, payment cards, an operator's own patterns.

Found by shape, so some are missed and some are taken for what they are not. Each is replaced by a word in brackets,
which stands where it stood. A text is looked at some thousand characters at a time, since an expression that runs keeps
every thread of the process waiting.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from keyvault.captures.patterns import check_patterns
from keyvault.domain.captures import Personal, Plan

Span = tuple[int, int, str]
"""From, to, and what stands there instead."""

AT_ONCE: Final = 4_096
WIDEST: Final = 1_024
"""Characters that no match exceeds, an operator's own least of all."""
OWN: Final = "[redacted]"
_KEY: Final = r"sk-gw_(?:live|test)_[0-9A-Za-z]{6,20}_[0-9A-Za-z]{20,80}"
GATEWAY_KEY: Final = re.compile(_KEY.encode())
"""A key of this gateway that somebody pasted into a prompt."""
_EMAIL: Final = re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}+@[\w-]{1,63}+(?:\.[\w-]{1,63}+){1,8}")
_PHONE: Final = re.compile(
    r"""(?<![\w.+-]) (?:
        (?: \+ | 00 ) [1-9] (?: [ ().\-/]{0,2} [0-9] ){6,14}     # international
      | \(? [0-9]{3} \)? [ .-] [0-9]{3} [ .-] [0-9]{4}          # North American
      | \(? 0 [0-9]{1,4} \)? [ /-] [0-9]{3,8} (?: [ -] [0-9]{2,6} ){0,3}   # with a trunk prefix
    ) (?!\w)""",
    re.VERBOSE,
)
_NUMBER: Final = re.compile(r"[0-9][0-9 ().\-/]{4,}[0-9]")
"""Where a telephone number may be: digits are looked for at memory speed, and most texts have few."""
_DIGITS: Final = re.compile(r"[0-9](?<![0-9][0-9])(?:[ -]?[0-9]){12,60}(?![0-9])")
_CARD_DIGITS: Final = range(13, 20)
_ISSUERS: Final = "23456"
_ENCODED: Final = re.compile(r"(?:data:[^,]{0,200},)?[A-Za-z0-9+/_=-]{512,}\Z")
"""A picture or a sound as text: what looks like a number in it is none."""


class Redactor:
    """What one capture takes out. Gateway keys always go. Threads may share it."""

    def __init__(self, plan: Plan) -> None:
        """Raises `UsageError` for a pattern that may not be."""
        self.asked = bool(plan.redact or plan.patterns)
        """Whether anything but gateway keys is to go, so that what cannot be looked into must not be kept."""
        finders: dict[str, Finder] = {
            Personal.EMAIL: _shaped(_EMAIL, "[email]", "@"),
            Personal.CARD: _cards,
            Personal.PHONE: _phones,
        }
        own = [_shaped(pattern, OWN, "") for pattern in check_patterns(plan.patterns)]
        named = [finder for personal, finder in finders.items() if personal in plan.redact]
        self._finders = [_shaped(re.compile(_KEY), OWN, "sk-gw_"), *own, *named]

    def spans(self, text: str) -> list[Span]:
        """What goes, in order and without overlaps: where two finds overlap the earlier finder's stays."""
        if len(text) < 4 or (len(text) >= 512 and _ENCODED.match(text)):
            return []
        kept: list[Span] = []
        for finder in self._finders:
            kept = sorted([*kept, *_apart(finder(text), kept)])
        return kept

    def redact(self, text: str) -> str:
        return put(text, self.spans(text))


Finder = Callable[[str], Iterator[Span]]
"""Tells what it finds in order and without overlaps."""


def _apart(found: Iterable[Span], kept: Sequence[Span]) -> Iterator[Span]:
    """What overlaps nothing that is kept already."""
    at = 0
    for span in found:
        while at < len(kept) and kept[at][1] <= span[0]:
            at += 1
        if at == len(kept) or span[1] <= kept[at][0]:
            yield span


def put(text: str, spans: Sequence[Span]) -> str:
    """The text with its spans replaced."""
    if not spans:
        return text
    pieces: list[str] = []
    at = 0
    for start, end, instead in spans:
        pieces += (text[at:start], instead)
        at = end
    return "".join((*pieces, text[at:]))


def _shaped(pattern: re.Pattern[str], instead: str, needs: str) -> Finder:
    """Finds a pattern; a text without `needs` holds none."""

    def find(text: str) -> Iterator[Span]:
        if needs in text:
            for match in _matches(pattern, text):
                yield match.start(), match.end(), instead

    return find


def _matches(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Every match, a window at a time; one that reaches over a window's end is found whole."""
    at = 0
    while at < len(text):
        stop, following = at + AT_ONCE, at + AT_ONCE
        for match in pattern.finditer(text, at, stop + WIDEST):
            if match.start() >= stop:
                break
            yield match
            following = max(stop, match.end())
        at = following


def _phones(text: str) -> Iterator[Span]:
    for number in _matches(_NUMBER, text):
        for match in _PHONE.finditer(text, max(0, number.start() - 2), number.end() + 1):
            yield match.start(), match.end(), "[phone]"


def _cards(text: str) -> Iterator[Span]:
    for match in _matches(_DIGITS, text):
        yield from _cards_in(text, *match.span())


def _cards_in(text: str, start: int, end: int) -> Iterator[Span]:
    """Card numbers within digits that stand together: each begins and ends where a group of digits does."""
    places = [at for at in range(start, end) if text[at].isdigit()]
    first = 0
    while first + _CARD_DIGITS[0] <= len(places):
        found = next((count for count in reversed(_CARD_DIGITS) if _is_card(text, places, first, count)), 0)
        if found:
            yield places[first], places[first + found - 1] + 1, "[card]"
        first += found or 1


def _is_card(text: str, places: Sequence[int], first: int, count: int) -> bool:
    last = first + count - 1
    if last >= len(places) or text[places[first]] not in _ISSUERS:
        return False
    joined_before = first > 0 and places[first - 1] == places[first] - 1
    joined_after = last + 1 < len(places) and places[last + 1] == places[last] + 1
    return not (joined_before or joined_after) and _luhn([int(text[at]) for at in places[first : last + 1]])


def _luhn(digits: Sequence[int]) -> bool:
    """ISO/IEC 7812-1, annex B: from the right, every other digit counts twice."""
    doubled = (digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[-2::-2])
    return (sum(doubled) + sum(digits[-1::-2])) % 10 == 0
