"""What a person wants of the console, from `console.toml` in the configuration directory.

    theme = "light"        # dark, light, contrast, plain
    every = 2              # seconds between readings: 0.5, 1, 2, 5, 10, 30

    [keys]                 # by the names that `gwctl help console-keys` lists
    rotate = "ctrl+t"
    quit = "q,ctrl+q"

A file that cannot be used is refused whole, with its line or the name that is wrong.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from keyvault.errors import UsageError
from opsconsole.tui.actions import Action
from opsconsole.tui.theme import PALETTES

INTERVALS: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
FILE: Final = "console.toml"
_KEY: Final = re.compile(r"(ctrl\+|shift\+|alt\+)*([a-z][a-z0-9_]*|[A-Za-z0-9])")
MOST_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Preferences:
    """None: as it was when the console was last left, or as it comes."""

    theme: str | None = None
    every: float | None = None
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By the action's id: the keys that take the place of its own."""

    def mapped(self, action: Action) -> Action:
        """The action with the keys that were asked for."""
        keys = self.keys.get(action.id)
        return replace(action, keys=keys) if keys else action


def load(path: Path, actions: Mapping[str, Iterable[Action]]) -> Preferences:
    """`actions`: all there are, by the view that has them. Raises `UsageError`, naming file and place."""
    try:
        content = path.read_bytes()[:MOST_BYTES].decode()
    except FileNotFoundError:
        return Preferences()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {type(error).__name__}", hint=f"mv {path} {path}.aside") from error
    try:
        read = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {str(error)[:200]}", hint=f"mv {path} {path}.aside") from error
    return _checked(path, read, actions)


def _checked(path: Path, read: dict[str, Any], actions: Mapping[str, Iterable[Action]]) -> Preferences:
    unknown = sorted(set(read) - {"theme", "every", "keys"})
    if unknown:
        raise UsageError(f"{path}: unknown name: {unknown[0][:60]!a}", hint="theme, every or [keys]")
    theme, every, keys = read.get("theme"), read.get("every"), read.get("keys", {})
    if theme is not None and theme not in PALETTES:
        raise UsageError(f"{path}: theme: not one of them: {str(theme)[:60]!a}", hint=", ".join(PALETTES))
    if every is not None and every not in INTERVALS:
        told = ", ".join(f"{seconds:g}" for seconds in INTERVALS)
        raise UsageError(f"{path}: every: not one of the intervals: {str(every)[:60]!a}", hint=told)
    if not isinstance(keys, dict):
        raise UsageError(f"{path}: keys: not a table", hint='[keys]\nrotate = "ctrl+t"')
    wanted = Preferences(theme, None if every is None else float(every), _keys(path, keys, actions))
    for own in actions.values():
        _no_clash(path, [wanted.mapped(action) for action in own])
    return wanted


def _keys(path: Path, read: dict[str, Any], actions: Mapping[str, Iterable[Action]]) -> dict[str, tuple[str, ...]]:
    known = {action.id: action for own in actions.values() for action in own if not action.prefix}
    keys: dict[str, tuple[str, ...]] = {}
    for name, value in read.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"{near[0]} = …" if near else "gwctl help console-keys"
            raise UsageError(f"{path}: keys: there is no action {name[:60]!a}", hint=hint)
        parts = tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else ()
        if not parts or not all(_KEY.fullmatch(part) for part in parts):
            raise UsageError(f"{path}: keys: {name}: not keys: {str(value)[:60]!a}", hint=f'{name} = "ctrl+t,f5"')
        keys[name] = parts
    return keys


def _no_clash(path: Path, actions: Iterable[Action]) -> None:
    taken: dict[str, str] = {}
    for action in actions:
        for key in () if action.prefix else action.keys:
            if key in taken and taken[key] != action.id:
                raise UsageError(
                    f"{path}: keys: {key} would mean both {taken[key]} and {action.id}", hint="give one of them another"
                )
            taken[key] = action.id
