"""The calls being served, so that those of a key whose access was taken away can be ended where they are.

A call that is cut goes no further: one whose answer has begun ends with an error event, one that still waits for a
provider is refused like the key's next request, and no other target is tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keyvault.proxy.admission import Call, everybody_suspended, no_such_key


class Underway:
    """Used by the event loop's thread alone."""

    def __init__(self) -> None:
        self._calls: set[Call] = set()
        self.add = self._calls.add
        self.discard = self._calls.discard

    def cut(self, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """A command: end the calls of the `keys` whose ids it names, or everybody's where that is None."""
        keys: Sequence[int] | None = payload["keys"]
        refusal = everybody_suspended() if keys is None else no_such_key()
        found = [call for call in self._calls if keys is None or call.caller.key_id in keys]
        for call in found:
            call.withdrawn = refusal
            if call.relay is not None:
                call.relay.cut()
        return {"cut": len(found)}
