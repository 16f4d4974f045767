"""Keeps the memory of a process that holds secrets away from core files and from other processes of the same user.

It is no protection against root, and Python cannot wipe a string: a secret stays in memory until it is overwritten.
"""

from __future__ import annotations

import ctypes
import resource
import signal
import sys
from dataclasses import dataclass
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4


@dataclass(frozen=True, slots=True)
class Hardening:
    """What could be done here."""

    no_core_file: bool
    not_dumpable: bool
    """No debugger of the same user may attach, and /proc/PID/mem is closed (Linux only)."""


def harden_process() -> Hardening:
    """Forbid core files and, on Linux, attaching debuggers, for this process. Call it before the first unlock."""
    return Hardening(no_core_file=_forbid_core_file(), not_dumpable=_forbid_dump())


def end_with_parent() -> None:
    """Have this process be sent SIGTERM when the one that started it is gone, however that ended (Linux only)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _forbid_core_file() -> bool:
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):  # a sandbox forbids setting limits; the caller reports it
        return False
    return True


def _forbid_dump() -> bool:
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)
