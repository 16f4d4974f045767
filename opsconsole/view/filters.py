"""The live filter: words that must all be found, a word after `!` that must not; case does not count.

`acme gpt` shows rows with both words in their names, `!embedding` hides those with that word.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Filter:
    """What was typed; an empty one matches everything."""

    text: str = ""

    def __bool__(self) -> bool:
        return bool(self.text.strip())

    def matches(self, *names: str) -> bool:
        haystack = "\n".join(names).casefold()
        for word in self.text.casefold().split():
            hidden = word.removeprefix("!")
            if hidden and (hidden in haystack) is (word != hidden):
                return False
        return True
