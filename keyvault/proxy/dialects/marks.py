"""Does a JSON text hold a name or a type of interest? Asked of every body, so that only those are decoded.

Names and types are short and stand between quotes, texts are long: where quotes are rare, the text is cut at them and
only its short pieces are searched, which spares searching a large prompt for each mark. A mark is found wherever it
stands, and now and then where it only looks like one.
"""

from __future__ import annotations

from typing import Final

LONGEST: Final = 200
"""Bytes of the longest piece that can be a name: every letter of the longest one written as an escape."""
DENSE: Final = 48
"""Bytes for each quote below which searching is cheaper than cutting."""
ESCAPE: Final = b"\\u00"
"""A plain letter may be written so, and then no name looks like itself."""


class Marks:
    """How strings of interest begin or end."""

    __slots__ = ("_marks",)

    def __init__(self, *, begins: tuple[bytes, ...] = (), ends: tuple[bytes, ...] = ()) -> None:
        self._marks = (*(b'"' + mark for mark in begins), *(mark + b'"' for mark in ends), ESCAPE)

    def stand_in(self, raw: bytes) -> bool:
        """Whether one of them may be in a JSON text."""
        if raw.count(b'"') * DENSE < len(raw):
            raw = b'"%b"' % b'"'.join([piece for piece in raw.split(b'"') if len(piece) <= LONGEST])
        for mark in self._marks:  # noqa: SIM110 - `any` takes twice as long
            if mark in raw:
                return True
        return False
