"""Whether the official SDKs, of the extra `sdk`, are installed; nothing of them is loaded."""

from __future__ import annotations

import importlib.util
from typing import Final

SDKS: Final = ("openai", "anthropic")


def installed() -> bool:
    return all(importlib.util.find_spec(name) for name in SDKS)
