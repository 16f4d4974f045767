"""Who is at work: the user, the machine, and the terminal or what else started this process."""

from __future__ import annotations

import os
import pwd
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_CRONS: Final = frozenset({"cron", "crond", "CRON", "anacron", "fcron", "atd"})
_ANCESTORS: Final = 16
"""How many processes above this one are looked at."""
_UNIT: Final = re.compile(r"/([^/\n]+\.service)$", re.MULTILINE)


def actor(environ: Mapping[str, str] = os.environ, processes: Path = Path("/proc")) -> str:
    """`user@host` and where from: a terminal (`pts/3`), `cron`, a systemd unit, or `no-tty`."""
    return f"{_user()}@{socket.gethostname()} {_place(environ, processes)}"


def _user() -> str:
    """By the user id: what the environment says may be anything."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _place(environ: Mapping[str, str], processes: Path) -> str:
    for descriptor in range(3):
        try:
            return os.ttyname(descriptor).removeprefix("/dev/")
        except OSError:
            continue
    if _started_by_cron(processes):
        return "cron"
    return (environ.get("INVOCATION_ID") and _unit(processes)) or "no-tty"


def _started_by_cron(processes: Path) -> bool:
    """Whether a process above this one is a cron daemon."""
    above = os.getppid()
    for _ in range(_ANCESTORS):
        try:
            # "pid (name) state parent …", where the name may hold anything, even parentheses
            name, _, rest = (processes / str(above) / "stat").read_text().partition("(")[2].rpartition(")")
        except OSError:
            return False
        if name in _CRONS:
            return True
        above = int(rest.split()[1])
    return False


def _unit(processes: Path) -> str | None:
    try:
        found = _UNIT.search((processes / "self" / "cgroup").read_text())
    except OSError:
        return None
    return found[1] if found else None
