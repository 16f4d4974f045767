"""What the logs know at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from keyvault.domain.alerts import Alert
from opsconsole.view.snapshot import Question, Snapshot


@dataclass(frozen=True, slots=True)
class AuditQuestion(Question):
    """What the audit log wants to know."""


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the audit log."""

    seq: int
    at: datetime
    actor: str
    action: str
    scope: str
    command: str
    detail: Mapping[str, Any]
    sealed: bool
    """Whether it has a MAC of somebody who could open the vault."""


@dataclass(frozen=True, slots=True)
class AuditSnapshot(Snapshot):
    """The answer to an `AuditQuestion`: the newest entries."""

    question: AuditQuestion
    changes: tuple[Change, ...] = ()
    more: bool = False


@dataclass(frozen=True, slots=True)
class AlertsQuestion(Question):
    """What the list of alerts wants to know. `over`: also those that are."""

    over: bool = False


@dataclass(frozen=True, slots=True)
class AlertsSnapshot(Snapshot):
    """The answer to an `AlertsQuestion`: the newest first."""

    question: AlertsQuestion
    alerts: tuple[Alert, ...] = ()
    more: bool = False
