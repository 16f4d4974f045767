"""From a request to the rows of other views that it is about."""

from __future__ import annotations

from typing import Final

from opsconsole.tui.actions import Action

JUMP_ACTIONS: Final = (
    Action("its-key", ("K",), "screen.its_key", "key", "Go to the key it came with", "view", 8),
    Action("its-route", ("R",), "screen.its_route", "route", "Go to the route of the model it asked for", "view", 11),
    Action("its-upstream", ("U",), "screen.its_upstream", "upstream", "Go to the upstream that served it", "view", 12),
)

COPY_ID: Final = Action("copy", ("y",), "screen.copy", "copy id", "Copy the id of the request", "table", 9)
