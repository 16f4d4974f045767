"""Reads a home for the console: hands each question to the reader of its view.

Called in the poller's thread only. A home that is not set up is no error but a snapshot that says so, and the console
comes alive when it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keyvault.errors import Unavailable
from opsconsole.readers.around import Surroundings
from opsconsole.readers.keys import KeysReader
from opsconsole.readers.live import LiveReader
from opsconsole.readers.logs import LogsReader
from opsconsole.readers.requests import RequestReader, RequestsReader
from opsconsole.readers.routes import RoutesReader
from opsconsole.readers.staging import StagingReader
from opsconsole.readers.usage import UsageReader
from opsconsole.readers.vault import VaultReader
from opsconsole.readers.zone import local_zone
from opsconsole.view.keys.snapshot import KeysQuestion
from opsconsole.view.live.snapshot import LiveQuestion
from opsconsole.view.logs.snapshot import AlertsQuestion, AuditQuestion
from opsconsole.view.requests.snapshot import RequestQuestion, RequestsQuestion
from opsconsole.view.routes.snapshot import RevisionsQuestion, RoutesQuestion
from opsconsole.view.snapshot import Question, Setup, Snapshot
from opsconsole.view.staging.snapshot import StagingQuestion
from opsconsole.view.usage.snapshot import UsageQuestion
from opsconsole.view.vault.snapshot import VaultQuestion

if TYPE_CHECKING:
    from keyvault.home import Home

Read = Callable[[Any], Snapshot]


class HomeReader:
    """Answers questions from a home. `zone`: whose midnight begins `today`, by name."""

    def __init__(self, home: Home, zone: str | None = None) -> None:
        self._home = home
        self._zone = zone or local_zone(home.environ)
        self._file: tuple[int, int] | None = None
        self._readers = self._made()

    def _made(self) -> dict[type[Question], Read]:
        """A reader for each kind of question. They remember what they have read while nothing says it has changed."""
        home, zone = self._home, self._zone
        around = Surroundings(home)
        routes = RoutesReader(home, around, zone)
        logs = LogsReader(home, around)
        return {
            LiveQuestion: LiveReader(home, around, zone).read,
            KeysQuestion: KeysReader(home, around, zone).read,
            VaultQuestion: VaultReader(home, around, zone).read,
            RoutesQuestion: routes.read,
            RevisionsQuestion: routes.revisions,
            AuditQuestion: logs.audit,
            AlertsQuestion: logs.alerts,
            StagingQuestion: StagingReader(home, around).read,
            UsageQuestion: UsageReader(home, around, zone).read,
            RequestsQuestion: RequestsReader(home, around).read,
            RequestQuestion: RequestReader(home, around).read,
        }

    def read(self, question: Question) -> Snapshot:
        """Raises `GatewayError` where the home cannot be read."""
        if not self._home.exists:
            setup = Setup(str(self._home.paths.data), initialised=False, ever_used=False)
            return Snapshot(question, self._home.clock.now(), setup)
        self._keep_to_the_file()
        return self._readers[type(question)](question)

    def _keep_to_the_file(self) -> None:
        """A file that was opened can be read when it is long gone or another one has its place; that would show what
        is no more as if it were live."""
        file = self._home.database_file()
        if file is None:
            return
        try:
            found = file.stat()
        except OSError:
            raise Unavailable(f"the database cannot be found: {file}", hint="gwctl doctor") from None
        if self._file not in (None, (found.st_dev, found.st_ino)):
            self._home.database.close()
            self._readers = self._made()
        self._file = found.st_dev, found.st_ino
