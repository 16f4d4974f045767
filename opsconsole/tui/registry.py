"""All views and what each can be told to do: bindings, palette, help, documentation and tests go by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from opsconsole.tui.actions import CONSOLE_ACTIONS, Action
from opsconsole.tui.context import Context
from opsconsole.tui.screens.keys import KeysScreen
from opsconsole.tui.screens.live import LiveScreen
from opsconsole.tui.screens.logs import AlertsScreen, AuditScreen
from opsconsole.tui.screens.request import RequestScreen
from opsconsole.tui.screens.requests import RequestsScreen
from opsconsole.tui.screens.routes import RevisionsScreen, RoutesScreen
from opsconsole.tui.screens.staging import StagingScreen
from opsconsole.tui.screens.usage import UsageScreen
from opsconsole.tui.screens.vault import VaultScreen
from opsconsole.tui.screens.view_screen import ViewScreen

SCREENS: Final[dict[str, type[ViewScreen[Any]]]] = {
    "live": LiveScreen,
    "keys": KeysScreen,
    "vault": VaultScreen,
    "routes": RoutesScreen,
    "usage": UsageScreen,
    "requests": RequestsScreen,
}
"""The views, by the names that `actions.VIEWS` lists. Each is made with a `Context` alone."""


OVER: Final[dict[str, type[ViewScreen[Any]]]] = {
    "audit": AuditScreen,
    "alerts": AlertsScreen,
    "staging": StagingScreen,
}
"""What can be opened over any view."""

WITHIN: Final[dict[str, type[ViewScreen[Any]]]] = {
    "revisions": RevisionsScreen,
    "request": RequestScreen,
}
"""What is opened from a view and has actions of its own."""


def all_actions() -> dict[str, tuple[Action, ...]]:
    """Every action, by the screen that has it; each has the console's, too."""
    return {name: (*screen.ACTIONS, *CONSOLE_ACTIONS) for name, screen in (SCREENS | OVER | WITHIN).items()}


def made(name: str, context: Context) -> ViewScreen[Any]:
    """A view by its name."""
    make: Callable[[Context], ViewScreen[Any]] = (SCREENS | OVER)[name]
    return make(context)
