"""What the console remembers between runs: the view, its look, how fast it reads, and how each view was arranged.

A small JSON file in the state directory. It is a convenience: one that is missing, unreadable or from another version
is forgotten without a word, and nothing in it is ever a secret or a name typed by a person.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from keyvault import files

FILE: Final = "console.json"
MOST_BYTES: Final = 64 * 1024
Arrangement = dict[str, Any]
"""How a view was arranged: strings, numbers and booleans by name."""


@dataclass(slots=True)
class Memory:
    """Empty where nothing is remembered."""

    view: str = ""
    theme: str = ""
    every: float = 0.0
    views: dict[str, Arrangement] = field(default_factory=dict)


def recall(path: Path) -> Memory:
    with contextlib.suppress(OSError, ValueError, RecursionError):
        read = json.loads(path.read_bytes()[:MOST_BYTES])
        if isinstance(read, dict):
            return Memory(
                view=_of(read, "view", ""),
                theme=_of(read, "theme", ""),
                every=_of(read, "every", 0.0),
                views={name: kept for name, kept in _of(read, "views", {}).items() if isinstance(kept, dict)},
            )
    return Memory()


def _of(read: dict[str, Any], name: str, usual: Any) -> Any:
    value = read.get(name, usual)
    return value if isinstance(value, type(usual)) else usual


def remember(path: Path, memory: Memory) -> None:
    """Keeps the old file where it cannot be written: leaving the console must not fail."""
    content = {"view": memory.view, "theme": memory.theme, "every": memory.every, "views": memory.views}
    with contextlib.suppress(OSError):
        files.replace(path, json.dumps(content, indent=1).encode())
