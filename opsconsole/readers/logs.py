"""Answers the questions of the logs: audit and alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opsconsole.readers.around import Surroundings
from opsconsole.view.logs.snapshot import AlertsQuestion, AlertsSnapshot, AuditQuestion, AuditSnapshot, Change

if TYPE_CHECKING:
    from keyvault.home import Home

MOST: Final = 1_000


class LogsReader:
    def __init__(self, home: Home, around: Surroundings) -> None:
        self._home = home
        self._around = around

    def audit(self, question: AuditQuestion) -> AuditSnapshot:
        from keyvault import audit

        home, now = self._home, self._home.clock.now()
        with home.database.read() as tx:
            found = audit.newest(tx, MOST + 1)
        changes = tuple(
            Change(each.seq, each.at, each.actor, each.action, each.scope, each.command, each.detail, each.sealed)
            for each in found[:MOST]
        )
        around = self._around.read(now, home.workers.live())
        return AuditSnapshot(question=question, taken_at=now, changes=changes, more=len(found) > MOST, **around)

    def alerts(self, question: AlertsQuestion) -> AlertsSnapshot:
        home, now = self._home, self._home.clock.now()
        found = tuple(home.alerts.list(MOST + 1, resolved=question.over))
        around = self._around.read(now, home.workers.live())
        return AlertsSnapshot(question=question, taken_at=now, alerts=found[:MOST], more=len(found) > MOST, **around)
