"""Reads a home for the console: hands each question to the reader of its view.

Called in the poller's thread only. A home that is not set up is no error but a snapshot that says so, and the console
comes alive when it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from opsconsole.readers.around import Surroundings
from opsconsole.readers.keys import KeysReader
from opsconsole.readers.live import LiveReader
from opsconsole.readers.logs import LogsReader
from opsconsole.readers.requests import RequestReader, RequestsReader
from opsconsole.readers.routes import RoutesReader
from opsconsole.readers.usage import UsageReader
from opsconsole.readers.vault import VaultReader
from opsconsole.readers.zone import local_zone
from opsconsole.view.keys.snapshot import KeysQuestion
from opsconsole.view.live.snapshot import LiveQuestion
from opsconsole.view.logs.snapshot import AlertsQuestion, AuditQuestion
from opsconsole.view.requests.snapshot import RequestQuestion, RequestsQuestion
from opsconsole.view.routes.snapshot import RevisionsQuestion, RoutesQuestion
from opsconsole.view.snapshot import Question, Setup, Snapshot
from opsconsole.view.usage.snapshot import UsageQuestion
from opsconsole.view.vault.snapshot import VaultQuestion

if TYPE_CHECKING:
    from keyvault.home import Home

Read = Callable[[Any], Snapshot]


class HomeReader:
    """Answers questions from a home. `zone`: whose midnight begins `today`, by name."""

    def __init__(self, home: Home, zone: str | None = None) -> None:
        self._home = home
        zone = zone or local_zone(home.environ)
        around = Surroundings(home)
        routes = RoutesReader(home, around, zone)
        logs = LogsReader(home, around)
        self._readers: Final[dict[type[Question], Read]] = {
            LiveQuestion: LiveReader(home, around, zone).read,
            KeysQuestion: KeysReader(home, around, zone).read,
            VaultQuestion: VaultReader(home, around, zone).read,
            RoutesQuestion: routes.read,
            RevisionsQuestion: routes.revisions,
            AuditQuestion: logs.audit,
            AlertsQuestion: logs.alerts,
            UsageQuestion: UsageReader(home, around, zone).read,
            RequestsQuestion: RequestsReader(home, around).read,
            RequestQuestion: RequestReader(home, around).read,
        }

    def read(self, question: Question) -> Snapshot:
        """Raises `GatewayError` where the home cannot be read."""
        if not self._home.exists:
            setup = Setup(str(self._home.paths.data), initialised=False, ever_used=False)
            return Snapshot(question, self._home.clock.now(), setup)
        return self._readers[type(question)](question)
