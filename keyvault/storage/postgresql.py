"""How a connection to PostgreSQL is opened: what breaks is noticed within seconds, no statement takes for ever."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

STATEMENT_TIMEOUT_MS: Final = 30_000
"""How long a statement may take, waiting for a lock included."""
_UNREACHABLE: Final = {
    "connect_timeout": 5,
    "tcp_user_timeout": 5_000,
    "keepalives_idle": 5,
    "keepalives_interval": 1,
    "keepalives_count": 3,
}
"""Seconds, but for `tcp_user_timeout`. A server that is reached and does not answer is not noticed by these."""


def connect_options(url: sa.URL, statement_timeout_ms: int) -> dict[str, Any]:
    """What a connection is opened with; options of the URL itself are kept."""
    return {**_UNREACHABLE, "options": f"{url.query.get('options', '')} -c statement_timeout={statement_timeout_ms}"}
