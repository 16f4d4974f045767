"""What the console can be told to do: the registry's entries, and those that every view has.

One list for each view feeds its key bindings, key bar, palette, help and the documentation. An action whose `changes`
is set alters the gateway and does not exist under `--read-only`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from textual.binding import Binding, BindingType

from opsconsole.view.chrome import Hint, Tab

PREFIX: Final = "g"
"""Opens the menu of groupings; the actions with this prefix are its entries. `g g` and `G` keep their usual meaning."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do. `run` is Textual's name of it; `keys` in Textual's spelling, the first one is shown."""

    id: str
    keys: tuple[str, ...]
    run: str
    label: str
    """One or two words, for the key bar."""
    tip: str
    """A sentence without a full stop, for tooltip, palette and help."""
    section: str
    rank: int = 0
    """Place in the key bar: the highest goes first when there is no room, 0 never stands there."""
    prefix: str = ""
    bar_key: str = ""
    """What the key bar says where one hint stands for two keys."""
    changes: bool = False

    def binding(self) -> Binding:
        return Binding(",".join(self.keys), self.run, self.label, show=False, tooltip=self.tip, id=self.id)

    @property
    def name(self) -> str:
        """The bare name of what it runs: `new` of `screen.new`."""
        return self.run.partition("(")[0].rpartition(".")[2]

    @property
    def shown_keys(self) -> str:
        """`s`, `g m`, `j ↓`"""
        return " ".join(shown(key) for key in ((self.prefix,) if self.prefix else ()) + self.keys)

    def hint(self) -> Hint:
        return Hint(self.bar_key or shown(self.keys[0]), self.label, self.rank, self.run)


_SHOWN: Final = {
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "question_mark": "?",
    "slash": "/",
    "colon": ":",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
    "exclamation_mark": "!",
    "space": "space",
    "enter": "⏎",
    "escape": "esc",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "Home",
    "end": "End",
}


def shown(key: str) -> str:
    return _SHOWN.get(key, key)


VIEWS: Final = {"live": "1", "keys": "2", "vault": "3", "routes": "4", "usage": "5", "requests": "6"}
"""The views and the key of each, in the order of the tabs."""

CONSOLE_ACTIONS: Final = (
    *(
        Action(f"view-{name}", (key,), f"app.view('{name}')", name, f"Go to {name.capitalize()}", "views")
        for name, key in VIEWS.items()
    ),
    Action("help", ("question_mark", "f1"), "app.help", "help", "Show all keys and what they do", "console", 2),
    Action(
        "palette", ("ctrl+p", "colon"), "app.command_palette", "commands", "Find a command by its name", "console", 7
    ),
    Action("audit", ("A",), "app.over('audit')", "audit", "Who changed what", "console"),
    Action("alerts", ("exclamation_mark",), "app.over('alerts')", "alerts", "What needs a person", "console"),
    Action("staging", ("E",), "app.over('staging')", "staging", "Rollouts, drills, captures, reports", "console"),
    Action("refresh", ("ctrl+r",), "app.read_now", "refresh", "Read the figures now", "console"),
    Action("theme", ("T",), "app.theme", "colours", "Other colours: dark, light, contrast, plain", "console"),
    Action("faster", ("plus", "equals_sign"), "app.faster", "faster", "Read the figures more often", "console"),
    Action("slower", ("minus",), "app.slower", "slower", "Read the figures less often", "console"),
    Action("quit", ("q", "ctrl+q", "ctrl+c"), "app.quit", "quit", "Leave the console", "console", 1),
)

TABLE_ACTIONS: Final = (
    Action("filter", ("slash",), "screen.filter", "filter", "Filter the rows as you type; !word hides", "table", 3),
    Action("sort", ("s",), "screen.sort", "sort", "Sort by the next column", "table", 8),
    Action("reverse", ("S",), "screen.reverse", "reverse", "Turn the order round", "table"),
    Action("copy", ("y",), "screen.copy", "copy name", "Copy the name of the row", "table", 9),
    Action("back", ("escape",), "screen.back", "back", "Clear the filter, leave the zoom, go back", "table"),
    Action("pause", ("space",), "screen.pause", "pause", "Freeze the table; the figures go on", "view", 9),
    Action("down", ("j", "down"), "screen.move(1)", "down", "Next row", "move"),
    Action("up", ("k", "up"), "screen.move(-1)", "up", "Previous row", "move"),
    Action("page-down", ("pagedown", "ctrl+f"), "screen.page(1)", "page down", "One page down", "move"),
    Action("page-up", ("pageup", "ctrl+b"), "screen.page(-1)", "page up", "One page up", "move"),
    Action("top", ("home",), "screen.top", "top", "First row", "move"),
    Action("bottom", ("G", "end"), "screen.bottom", "bottom", "Last row", "move"),
    Action("pan-right", ("l", "right"), "screen.pan(1)", "columns", "Columns there was no room for", "move"),
    Action("pan-left", ("h", "left"), "screen.pan(-1)", "columns", "Back to the first columns", "move"),
)
"""What every view with a table offers."""

WINDOW_ACTIONS: Final = (
    Action("shorter", ("left_square_bracket",), "screen.window(-1)", "shorter", "Look less far back", "view"),
    Action(
        "longer",
        ("right_square_bracket",),
        "screen.window(1)",
        "window",
        "Look further back, to 30 days",
        "view",
        rank=8,
        bar_key="[ ]",
    ),
)
"""What a view that looks back over a window offers."""

SECTIONS: Final = {
    "change": "What it changes",
    "view": "What is shown",
    "table": "Table",
    "move": "Moving",
    "views": "Views",
    "console": "Console",
}


def offered(actions: Iterable[Action], *, read_only: bool) -> tuple[Action, ...]:
    """The actions there are: without those that change something when the console only reads."""
    return tuple(action for action in actions if not (read_only and action.changes))


def bindings(actions: Iterable[Action]) -> list[BindingType]:
    """The keys of actions that are reached directly, not through a menu."""
    return [action.binding() for action in actions if not action.prefix]


def menu(actions: Iterable[Action], prefix: str) -> tuple[Action, ...]:
    return tuple(action for action in actions if action.prefix == prefix)


def window_ends(label: str, by: int) -> str:
    """What is said where a window cannot be made shorter or longer."""
    return f"it looks {'no less far' if by < 0 else 'no further'} back than {label}"


def in_palette(action: Action) -> bool:
    """Whether the palette names it: moving about is for keys alone, and the palette need not open itself."""
    return action.section != "move" and action.id != "palette"


def hints(actions: Iterable[Action]) -> list[Hint]:
    """What the key bar may say, in the order of the list."""
    return [action.hint() for action in actions if action.rank and not action.prefix]


def view_tabs() -> tuple[Tab, ...]:
    return tuple(
        Tab(shown(action.keys[0]), action.label.capitalize(), action.run)
        for action in CONSOLE_ACTIONS
        if action.section == "views"
    )
