"""Captures: started by a person, ended by time, count or size, read by export, deleted for good.

A capture has a random key of its own, which is a sealed record of the vault; rotating data keys seals only that record
anew. Deleting a capture destroys the record and the files: what somebody has copied of the files opens no more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from keyvault import audit
from keyvault.captures import files
from keyvault.captures.captured import Captured, unpack
from keyvault.captures.patterns import check_patterns
from keyvault.clock import Clock
from keyvault.domain.captures import Capture, Ended, Plan
from keyvault.domain.scopes import Scope, ScopeRef
from keyvault.domain.vault import Compartment
from keyvault.errors import Conflict, NotFound, SealError, Tampered
from keyvault.storage import captures as rows
from keyvault.storage import epochs, scopes
from keyvault.storage import vault as vault_rows
from keyvault.storage.engine import Database, Transaction
from keyvault.vault.open_vault import CAPTURE_KEY, OpenVault
from keyvault.vault.vault import Vault

KEY_BYTES: Final = 32
_RECORD: Final = re.compile(r"capture-[0-9A-Z]{26}\Z")


class Captures:
    """The service behind `gwctl captures`."""

    def __init__(self, database: Database, clock: Clock, vault: Vault, directory: Path) -> None:
        """`directory`: below which what this machine captures lies."""
        self._database = database
        self._clock = clock
        self._vault = vault
        self._directory = directory

    def start(self, scope: Scope | None, *, sample_ppm: int, lasts: timedelta, plan: Plan) -> Capture:
        """Begin; running proxies follow at the next request. `scope` None: whoever calls.

        Raises `NotFound`, `UsageError` for a pattern that may not be, `Conflict` for a customer who is never captured.
        """
        check_patterns(plan.patterns)
        opened = self._vault.unlock(Compartment.UPSTREAM)
        with self._database.change() as tx:
            ref = None if scope is None else scopes.find(tx, scope)
            if ref is not None:
                _refuse_marked(tx, ref)
            capture = self._made(tx, opened, ref, sample_ppm, lasts, plan)
            epochs.bump(tx, "routes")
            audit.record(
                tx, self._clock, "captures.start", capture.name, of=capture.of, sample_ppm=sample_ppm, most=plan.most,
                until=capture.until.isoformat(), redact=list(plan.redact), patterns=len(plan.patterns),
            )  # fmt: skip
        return capture

    def stop(self, capture_id: int) -> Capture:
        """End it now; what was captured stays. Works while the vault is locked. Raises `NotFound`."""
        with self._database.write() as tx:
            capture = _existing(tx, capture_id)
            return capture if capture.ended else self._end(tx, capture, Ended.STOPPED)

    def list(self) -> Sequence[Capture]:
        """All that are not deleted, the oldest first."""
        with self._database.read() as tx:
            return rows.every(tx)

    def running(self) -> Sequence[Capture]:
        """Those that capture now."""
        now = self._clock.now()
        return [capture for capture in self.list() if not capture.ended and capture.over(now) is None]

    def show(self, capture_id: int) -> Capture:
        """Raises `NotFound`."""
        with self._database.read() as tx:
            return _existing(tx, capture_id)

    def export(self, capture_id: int) -> Iterator[Captured]:
        """What was captured on this machine. Who read it stands in the audit log before the first is told.

        Raises `NotFound`, `Locked`, and `Tampered` where somebody changed it; that may come in the middle.
        """
        opened = self._vault.unlock(Compartment.UPSTREAM)
        with self._database.change() as tx:
            capture = _existing(tx, capture_id)
            key = opened.open(tx, capture.record_id, ())
            audit.record(tx, self._clock, "captures.export", capture.name, of=capture.of, taken=capture.taken)
        return map(unpack, files.read(self.place(capture), capture.record_id, key))

    def delete(self, capture_id: int) -> Capture:
        """Destroy it: first the key, then what it opens. Raises `NotFound`, `Locked`."""
        with self._database.change() as tx:
            capture = _existing(tx, capture_id)
            self._destroy_key(tx, capture, "captures.delete")
        self.destroy_files(capture)
        return capture

    def keep(self) -> None:
        """End what is over, and delete what has been kept long enough. For a worker, again and again."""
        now = self._clock.now()
        found = self.list()
        if over := [capture for capture in found if capture.over(now)]:
            with self._database.change() as tx:
                for capture in over:
                    fresh = rows.find(tx, capture.id)
                    if fresh is not None and (reason := fresh.over(now)) is not None:
                        self._end(tx, fresh, reason)
        for capture in found:
            if capture.ended and now >= capture.keep_until:
                with self._database.change() as tx:
                    if rows.find(tx, capture.id) is not None:
                        self._destroy_key(tx, capture, "captures.expire")
                self.destroy_files(capture)

    def count(self, capture_id: int, *, taken: int, dropped: int, size: int) -> None:
        """Note what a worker has captured since it last said so."""
        with self._database.write() as tx:
            rows.count(tx, capture_id, taken=taken, dropped=dropped, size=size)

    def key(self, capture: Capture) -> bytes:
        """What seals a capture. Raises `Tampered`, `Locked`."""
        opened = self._vault.unlock(Compartment.UPSTREAM)
        with self._database.read() as tx:
            return opened.open(tx, capture.record_id, ())

    def place(self, capture: Capture) -> Path:
        """The directory of what this machine has captured. Raises `Tampered`."""
        if _RECORD.match(capture.record_id) is None:  # a name that leads elsewhere is nobody's
            raise Tampered(f"capture {capture.id} was changed by something else than gwctl", hint="gwctl doctor")
        return self._directory / capture.record_id

    def destroy_files(self, capture: Capture) -> None:
        """Remove what this machine has of a capture, unless this is a rehearsal."""
        if not self._database.rehearsal:
            files.destroy(self.place(capture))

    def examine(self) -> Sequence[SealError | None]:
        """For each capture what keeps its key from being opened; None where it opens."""
        return [_reason(capture, self.key) for capture in self.list()]

    def strays(self) -> Sequence[Path]:
        """Directories that belong to no capture: nobody can read them any more."""
        known = {capture.record_id for capture in self.list()}
        found = sorted(self._directory.iterdir()) if self._directory.is_dir() else []
        return [path for path in found if path.name not in known]

    def _made(
        self, tx: Transaction, opened: OpenVault, ref: ScopeRef | None, sample_ppm: int, lasts: timedelta, plan: Plan
    ) -> Capture:
        now = self._clock.now()
        draft = Capture(
            0, ref, sample_ppm, plan, f"capture-{self._clock.ulid()}", now, now + lasts, ended=False, ended_at=None,
            reason=None, taken=0, dropped=0, bytes=0,
        )  # fmt: skip
        opened.seal(tx, draft.record_id, CAPTURE_KEY, (), self._clock.random_bytes(KEY_BYTES), version=1)
        return _existing(tx, rows.insert(tx, draft))

    def _end(self, tx: Transaction, capture: Capture, reason: Ended) -> Capture:
        rows.end(tx, capture.id, reason, self._clock.now_ms())
        epochs.bump(tx, "routes")
        action = "captures.stop" if reason is Ended.STOPPED else "captures.end"
        audit.record(tx, self._clock, action, capture.name, of=capture.of, reason=reason.value, **_told(capture))
        return _existing(tx, capture.id)

    def _destroy_key(self, tx: Transaction, capture: Capture, action: str) -> None:
        vault_rows.delete_record(tx, capture.record_id)
        rows.delete(tx, capture.id)
        epochs.bump(tx, "routes")
        audit.record(tx, self._clock, action, capture.name, of=capture.of, **_told(capture))


def _told(capture: Capture) -> Mapping[str, Any]:
    """What an audit entry says of a capture's end; a restore finds it again by its record."""
    return {"taken": capture.taken, "record": capture.record_id}


def _existing(tx: Transaction, capture_id: int) -> Capture:
    found = rows.find(tx, capture_id)
    if found is None:
        raise NotFound(f"no such capture: {capture_id}", hint="gwctl captures list")
    return found


def _refuse_marked(tx: Transaction, ref: ScopeRef) -> None:
    if (customer := rows.marked_customer(tx, ref)) is not None:
        hint = f"gwctl customers update {customer} --may-capture"
        raise Conflict(f"nothing is ever captured of customer {customer}", hint=hint)


def _reason(capture: Capture, opened: Callable[[Capture], bytes]) -> SealError | None:
    try:
        opened(capture)
    except SealError as error:
        return error
    return None
