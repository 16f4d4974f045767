"""Figures that change by themselves, so that no seal covers them: read so that an edited one harms nobody's service.

They decide nothing that matters. What cannot have been written here is taken for what it was at the beginning.
"""

from __future__ import annotations

from typing import Any, Final

LAST_MS: Final = 253_402_300_799_999
"""The end of the year 9999."""
MOST: Final = 2**63 - 1


def whole(value: Any, otherwise: int, most: int = MOST) -> int:
    """A number from 0 to `most`."""
    return value if isinstance(value, int) and 0 <= value <= most else otherwise
