"""`gwctl workers`: the proxy processes that run, and which changes each acts by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from opsconsole.cli.output import Column, Listing, Row
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import Noun

if TYPE_CHECKING:
    from keyvault.domain.workers import Worker

workers = Noun("workers", "Proxy processes that run.", examples="gwctl workers list\ngwctl workers list --json")
app = workers


@workers.verb("list", examples="gwctl workers list\ngwctl workers list --all --json")
def list_(
    session: Session,
    silent: Annotated[bool, typer.Option("--all", help="Those that fell silent, too.")] = False,
) -> None:
    """List live workers: where each listens, how much is in flight, and which changes it acts by."""
    home = session.home
    found = home.workers.list() if silent else home.workers.live()
    live = {worker.id for worker in home.workers.live()}
    now = home.clock.now()
    columns = [
        Column("id"),
        Column("host"),
        Column("pid"),
        Column("listen"),
        Column("version"),
        Column("heartbeat_age_s", "HEARD S AGO"),
        Column("in_flight"),
        Column("open_streams", "STREAMS"),
        Column("current", "UP TO DATE"),
    ]
    if silent:
        columns.append(Column("live"))
    epochs = home.workers.epochs()
    rows = [{**_row(worker, now, epochs), "live": worker.id in live} for worker in found]
    session.show(Listing("workers", rows, columns, key="id", extra={"epochs": epochs}))


def _row(worker: Worker, now: datetime, epochs: Mapping[str, int]) -> Row:
    applied = worker.state.get("applied")
    return {
        "id": worker.id,
        "host": worker.host,
        "pid": worker.pid,
        "listen": worker.listen,
        "admin": worker.admin,
        "version": worker.version,
        "started_at": worker.started_at,
        "heartbeat_at": worker.heartbeat_at,
        "heartbeat_age_s": max(0, round((now - worker.heartbeat_at).total_seconds())),
        "in_flight": worker.state.get("in_flight"),
        "open_streams": worker.state.get("open_streams"),
        "requests_total": worker.state.get("requests_total"),
        "applied": applied,
        "current": all(worker.has_applied(name, epoch) for name, epoch in epochs.items()) if applied else None,
    }
