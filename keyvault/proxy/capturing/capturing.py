"""Which requests are captured, decided in memory: an `active` that is empty is all that others ever see of it.

Read again when the epoch of the routes changes, which captures and marks of customers move. While the database is not
what was sealed no capture takes anything: a mark could have been removed.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Final

import structlog

from keyvault.domain.captures import WHOLE_PPM, Capture
from keyvault.domain.scopes import ScopeKind
from keyvault.errors import GatewayError
from keyvault.home import Home
from keyvault.proxy.capturing.kept import Room
from keyvault.proxy.capturing.sample import Sample, Taken
from keyvault.proxy.capturing.tapped import Tapped
from keyvault.storage import captures as rows
from keyvault.vault.guard import Guard

if TYPE_CHECKING:
    from keyvault.proxy.admission import Call
    from keyvault.proxy.capturing.recorder import Recorder, Recording

log = structlog.get_logger()

FAILING: Final = "capture_failing"


class Capturing:
    """One worker's captures. For the event loop, but for `keep` and `stop`."""

    def __init__(self, home: Home, guard: Guard, now_ms: Callable[[], int]) -> None:
        self._home = home
        self._guard = guard
        self._now_ms = now_ms
        self._never: frozenset[int] = frozenset()
        """Ids of the customers of whom nothing is captured."""
        self._recordings: Mapping[int, Recording] = {}
        """By id of the capture; what has ended stays until everything is told."""
        self._known: Mapping[int, Capture] = {}
        self._deleted: list[Capture] = []
        self._changing = threading.Lock()
        self._told: dict[int, str] = {}
        self._room = Room()
        self.active: tuple[Recording, ...] = ()
        """The captures that take something now."""

    @cached_property
    def recorder(self) -> Recorder:
        """Made with the first capture: what it needs takes a megabyte of memory, and most gateways capture nothing."""
        from keyvault.proxy.capturing.recorder import Recorder

        return Recorder()

    def read(self) -> None:
        """Take over what the database says."""
        with self._home.database.snapshot() as tx:
            doubted = self._guard.doubted(tx, "captures")
            found = {each.id: each for each in rows.every(tx, but=doubted)}
            self._never = frozenset(rows.marked(tx).values())
            # An edited mark shows by its seal, one that was removed only by what was sealed in all.
            whole = not self._guard.doubted(tx, "uncaptured") and (
                not (found or self._known) or self._guard.is_what_was_sealed(tx)
            )
        running = [capture for capture in found.values() if whole and not capture.ended]
        with self._changing:
            if whole:
                gone = self._known.keys() - found.keys() - doubted
                self._deleted += [self._known[each] for each in gone]
            self._known = found
            self._recordings = {**self._recordings, **self._begun(running)}
        going_on = {capture.id for capture in running}
        for each, recording in self._recordings.items():
            if each not in going_on and recording.open:
                recording.open = False
                self.recorder.retire(recording)
        self.active = tuple(recording for recording in self._recordings.values() if recording.open)

    def sample(self, call: Call) -> None:
        """Draw a request that names a model, or leave it."""
        if call.model is None or self._is_never(call):
            return
        now_ms = self._now_ms()
        drawn = tuple(recording for recording in self.active if _draws(recording, call, now_ms))
        if drawn:
            for recording in drawn:
                recording.left -= 1
            call.sample = Sample(self, drawn, now_ms, len(call.exchange.request.body), self._room)
            call.exchange = Tapped(call.exchange, call.sample.kept)

    def take(self, call: Call, taken: Taken) -> None:
        """An exchange is over; what was stopped or marked meanwhile does not take it any more."""
        still = tuple(recording for recording in taken.recordings if recording.open)
        if still and not self._is_never(call):
            self.recorder.put(taken if len(still) == len(taken.recordings) else taken.only(still))

    def keep(self) -> None:
        """Tell how much there is, end what is over, destroy what was deleted. A chore, once a second."""
        if not self._known and not self._recordings and not self._deleted:
            return
        for recording in tuple(self._recordings.values()):
            self._tell(recording)
        if self._known:
            self._home.captures.keep()
        with self._changing:
            self._recordings = {i: each for i, each in self._recordings.items() if not each.closed or each.news}
            deleted, self._deleted = self._deleted, []
        for capture in deleted:
            self._home.captures.destroy_files(capture)

    def stop(self) -> None:
        """Write what waits, and tell of it."""
        if self._recordings:
            self.recorder.stop()
        for recording in tuple(self._recordings.values()):
            self._tell(recording)

    def _is_never(self, call: Call) -> bool:
        """Whether whoever pays, or whose key it is, is never captured."""
        return bool(self._never) and (call.payer.customer_id in self._never or call.caller.customer_id in self._never)

    def _begun(self, running: list[Capture]) -> Mapping[int, Recording]:
        """The captures that are new here."""
        begun = {}
        for capture in running:
            known = self._recordings.get(capture.id)
            if known is not None and known.open:
                continue
            try:
                begun[capture.id] = self._recording(capture)
            except GatewayError as error:
                log.error("cannot capture", capture=capture.name, reason=error.message)
            else:
                log.info("capturing", capture=capture.name, of=capture.of, until=capture.until.isoformat())
        return begun

    def _recording(self, capture: Capture) -> Recording:
        from keyvault.captures.files import CaptureFile
        from keyvault.proxy.capturing.recorder import Recording

        service = self._home.captures
        name = self._home.clock.ulid()
        file = CaptureFile(service.place(capture), name, capture.record_id, service.key(capture))
        return Recording(capture, file)

    def _tell(self, recording: Recording) -> None:
        capture_id, news = recording.capture.id, self.recorder.news(recording)
        try:
            if news:
                self._home.captures.count(capture_id, taken=news.taken, dropped=news.dropped, size=news.size)
            self._tell_of_failure(recording)
        except GatewayError:
            self.recorder.put_back(recording, news)
            raise

    def _tell_of_failure(self, recording: Recording) -> None:
        """An alert while exchanges cannot be written, whatever the reason."""
        capture, why = recording.capture, recording.failure if recording.open else None
        if why is not None and self._told.get(capture.id) != why:
            self._home.alerts.raise_alert(FAILING, capture.name, f"{capture.name} loses exchanges: {why}")
            self._told[capture.id] = why
        elif why is None and self._told.pop(capture.id, None) is not None:
            self._home.alerts.resolve(FAILING, capture.name)


def _draws(recording: Recording, call: Call, now_ms: int) -> bool:
    capture = recording.capture
    if recording.left <= 0 or recording.bytes >= capture.plan.max_bytes or now_ms >= recording.until_ms:
        return False
    scope = capture.scope
    if scope is not None:
        ids = {
            ScopeKind.KEY: call.caller.key_id,
            ScopeKind.PROJECT: call.payer.project_id,
            ScopeKind.CUSTOMER: call.payer.customer_id,
        }
        if ids[scope.kind] != scope.id:
            return False
    return zlib.crc32(call.request_id.encode(), capture.id) % WHOLE_PPM < capture.sample_ppm
