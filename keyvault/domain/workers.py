"""A worker: one proxy process, as it last told about itself."""

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
    """Live figures, such as `open_streams`, `in_flight`, `requests_total`; which ones is the proxy's to say."""
