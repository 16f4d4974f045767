"""A worker: one proxy process, as it last told about itself; and a command to all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Worker:
    id: str
    pid: int
    host: str
    listen: str
    """Address clients connect to, as `HOST:PORT`."""
    admin: str
    version: str
    started_at: datetime
    heartbeat_at: datetime
    state: Mapping[str, Any]
    """Live figures, such as `open_streams`, `in_flight`, `requests_total`; which ones is the proxy's to say. `applied`
    holds the change epochs it acts by."""

    def has_applied(self, aggregate: str, epoch: int) -> bool:
        """Whether it acts by a change of that epoch, as far as it has told."""
        applied = self.state.get("applied")
        return isinstance(applied, Mapping) and applied.get(aggregate, -1) >= epoch


@dataclass(frozen=True, slots=True)
class Command:
    """What every worker that runs must do now, beside following the tables."""

    id: str
    kind: str
    payload: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Applied:
    """How far a change has come."""

    done: tuple[Worker, ...]
    """The workers that act by it."""
    missing: tuple[Worker, ...]
    """Those that live and have not said so in time."""
    seconds: float
    results: tuple[Mapping[str, Any], ...] = ()
    """What those that are done answered to the command that went with it."""
