"""Has a change take effect on running workers before its deed is done, and says how far it has come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from keyvault.home import Home

LIMIT: Final = timedelta(seconds=5)
"""A person waits for it."""
CUT: Final = ("no", "yes")


def taken(home: Home, keys: Sequence[int] = (), *, cut: bool = False) -> str:
    """What to add to the sentence that says what was done; empty where no worker runs. `cut`: end the calls of `keys`
    that are under way."""
    workers = home.workers
    if not workers.live():
        return ""
    command = workers.order("cut", {"keys": list(keys)}) if cut and keys else None
    applied = workers.wait("keys", LIMIT, command=command)
    done, live = len(applied.done), len(applied.done) + len(applied.missing)
    ended = f", {sum(int(result.get('cut', 0)) for result in applied.results)} calls ended" if command else ""
    still = ": the others have not followed yet" if applied.missing else ""
    return f"; in force at {done} of {live} worker{'' if live == 1 else 's'}{ended}{still}"
