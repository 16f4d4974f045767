"""The journal: a mirror of the audit log outside the database, one JSON line for each entry.

Whoever has committed a change brings it up to date; its last line is the anchor. A database whose log ends before it,
or says something else there, is older than what has been seen: a backup put back, which would revive revoked keys. Its
entries tell a restore what happened after the backup. How far it had come is kept in a file beside it, and by each
process that writes it, so that a journal that was cut shows. It proves nothing against who can write all of them.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from keyvault import audit
from keyvault.audit import Entry
from keyvault.clock import from_ms, to_ms
from keyvault.domain.names import short_duration
from keyvault.errors import RolledBack, SealError, Tampered, Unavailable
from keyvault.storage import audit as rows
from keyvault.storage.engine import Transaction

RENEW: Final = "gwctl vault reseal, which puts it aside and writes a new one from the audit log"
_PIECE: Final = 64 * 1024
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
_UNREADABLE: Final = (ValueError, KeyError, TypeError, OverflowError, RecursionError)
"""What a line that is no entry may raise."""


@dataclass(frozen=True, slots=True)
class End:
    """How far the log had come when somebody looked."""

    seq: int
    digest: bytes
    at: datetime | None = None


class Journal:
    """The journal in one file, made when first written. Processes may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.refilled: str | None = None
        """In a line, that this process found the journal cut or gone and filled it again; whoever tells of it, takes
        it away."""
        self._highest = 0
        """The newest entry that this process has seen in it."""

    def begin(self) -> None:
        """Make an empty one, for a new gateway: where there is none and nothing is known of one, it was removed."""
        with self._locked():
            self._keep(End(0, audit.BEGIN))

    def catch_up(self, tx: Transaction, keep: Callable[[], None] | None = None) -> int:
        """Append what the audit log has and the journal has not; how many entries. A log that does not go on from where
        it was seen is left alone: that is for `check` to tell. Raises `Unavailable` where it cannot be written.

        `keep` is called before anything is written: the database must not lose in a power cut what is told here, for it
        would look put back."""
        with self._locked() as file:
            last, kept = _last(file), self._kept()
            seq, digest = (last.seq, last.digest) if last else (0, audit.BEGIN)
            if rows.digest_at(tx, seq) != digest:
                return 0
            if kept is not None and kept.seq > seq and rows.digest_at(tx, kept.seq) != kept.digest:
                return 0
            entries = list(audit.entries(tx, seq))
            if entries:
                if keep is not None:
                    keep()
                self._note_cut(last, kept)
                file.seek(0, os.SEEK_END)
                _write(file, entries)
                seq, digest = entries[-1].seq, entries[-1].digest
            self._highest = seq
            if kept is None or kept.seq != seq:
                self._keep(End(seq, digest))
            return len(entries)

    def stamp(self) -> tuple[tuple[int, int, int] | None, ...]:
        """Another one when somebody has written, cut or removed it, or what is kept beside it."""
        return _stamp(self.path), _stamp(self._beside)

    def last(self) -> Entry | None:
        """The newest entry; None where there is no journal yet. Raises `Tampered`, `Unavailable`."""
        try:
            with self.path.open("rb") as file:
                return _last(file)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(f"the journal cannot be read: {self.path}: {error.strerror}") from None

    def end(self) -> End | None:
        """How far the log was seen to come on this machine: to the newest entry, or further where somebody has cut the
        journal since. None where nothing is known. Raises `Tampered`, `Unavailable`."""
        last, kept = self.last(), self._kept()
        if last is not None and (kept is None or kept.seq <= last.seq):
            return End(last.seq, last.digest, last.at)
        return kept if kept is not None and kept.seq else None

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """The entries behind a sequence number, oldest first. Raises `Tampered` for a line that is none."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        with file:
            for line in file:
                if line.endswith(b"\n") and (entry := self._read(line)).seq > after:
                    yield entry

    def check(self, tx: Transaction, end: End | None = None) -> None:
        """Raise `RolledBack` where the database is older than what was seen. Where others may write meanwhile, `end` is
        read before the transaction begins."""
        end = end or self.end()
        if end is None or rows.digest_at(tx, end.seq) == end.digest:
            return
        newest = next(map(audit.entry, rows.newest(tx, 1)), None)
        if newest is not None and newest.seq >= end.seq:
            how = f"its audit entry {end.seq} is not the one that was seen before"
        else:
            lost = end.seq - (newest.seq if newest else 0)
            age = f" and {short_duration(end.at - newest.at)}" if newest and end.at and newest.at < end.at else ""
            how = f"it is {lost} audit {'entry' if lost == 1 else 'entries'}{age} behind {self.path}"
        raise RolledBack(
            f"an older database was put back: {how}",
            hint="gwctl restore BACKUP --accept-rollback, or look into it and then gwctl vault reseal",
        )

    def first_differing(self, tx: Transaction, up_to: int | None = None) -> tuple[int, str] | None:
        """The first entry that the log has not, or has differently, and what is wrong with it. `up_to`: the newest
        entry from before the transaction began, where others may write meanwhile."""
        digests = {int(row["seq"]): bytes(row["digest"]) for row in rows.after(tx, 0)}
        seq = 0
        try:
            for entry in self.entries():
                seq = entry.seq
                if up_to is not None and seq > up_to:
                    return None
                if seq not in digests:
                    return seq, f"is in the journal and not in the database: {entry.action} {entry.scope}"
                if digests[seq] != entry.digest:
                    return seq, "is not the one that the journal has"
        except Tampered:
            return seq + 1, f"cannot be compared, the journal has a line there that is none: {self.path}"
        return None

    def fits(self, tx: Transaction) -> bool:
        """Whether every line is an entry of the log, and the log goes on from where it was seen."""
        try:
            self.check(tx)
        except SealError:
            return False
        return self.first_differing(tx) is None

    def place_aside(self, now: datetime) -> Path:
        """Where a journal that does not fit is put."""
        name = f"{self.path.name}.aside-{now:%Y%m%dT%H%M%SZ}"
        taken = sum(1 for _ in self.path.parent.glob(f"{name}*"))
        return self.path.with_name(f"{name}-{taken + 1}" if taken else name)

    def begin_anew(self, tx: Transaction, aside: Path) -> None:
        """Put the journal aside and write one from the audit log as it is, when somebody decided that it holds."""
        entries = list(audit.entries(tx))
        fresh = self.path.with_name(f".{self.path.name}.new")
        with self._locked():
            with os.fdopen(os.open(fresh, _NEW, 0o600), "wb") as file:
                _write(file, entries)
            os.link(self.path, aside)
            fresh.replace(self.path)
            self._keep(End(entries[-1].seq, entries[-1].digest) if entries else End(0, audit.BEGIN))
        self._highest = entries[-1].seq if entries else 0

    def _note_cut(self, last: Entry | None, kept: End | None) -> None:
        seq = last.seq if last else 0
        if seq < max(self._highest, kept.seq if kept else 0) or (last is None and kept is None):
            self.refilled = (
                f"the journal had been cut or removed by something else than gwctl behind entry {seq}, and was filled "
                f"again from the audit log: {self.path}"
            )

    @property
    def _beside(self) -> Path:
        return self.path.with_name(f"{self.path.name}.end")

    def _kept(self) -> End | None:
        """What is kept beside the journal; None where it is not there or no longer to be read."""
        try:
            seq, digest = self._beside.read_text("ascii").split()
            return End(int(seq), bytes.fromhex(digest))
        except (OSError, ValueError):
            return None

    def _keep(self, end: End) -> None:
        """Written beside and put in place. A power cut may lose it: then the journal itself tells."""
        fresh = self._beside.with_name(f".{self._beside.name}.new")
        with os.fdopen(os.open(fresh, _NEW, 0o600), "w", encoding="ascii") as file:
            file.write(f"{end.seq} {end.digest.hex()}\n")
        fresh.replace(self._beside)

    def _read(self, line: bytes) -> Entry:
        try:
            return _entry(line)
        except _UNREADABLE:
            raise Tampered(f"the journal was changed: {self.path}", hint=RENEW) from None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        """The file, held against other processes, without a line that a crash cut short. Raises `Unavailable`."""
        try:
            with self._held() as file:
                _drop_torn_line(file)
                yield file
        except OSError as error:
            raise Unavailable(f"the journal cannot be written: {self.path}: {error.strerror}") from None

    @contextlib.contextmanager
    def _held(self) -> Iterator[BinaryIO]:
        """The file that is there once nobody else holds it: the one waited for may have been put aside."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        while True:
            with os.fdopen(os.open(self.path, flags, 0o600), "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if self.path.exists() and os.path.samestat(os.fstat(file.fileno()), self.path.stat()):
                    yield file
                    return


def _write(file: BinaryIO, entries: list[Entry]) -> None:
    file.write(b"".join(map(_line, entries)))
    file.flush()
    os.fsync(file.fileno())


def _line(entry: Entry) -> bytes:
    written = {
        "seq": entry.seq,
        "at_ms": to_ms(entry.at),
        "actor": entry.actor,
        "command": entry.command,
        "action": entry.action,
        "scope": entry.scope,
        "detail": entry.detail,
        "digest": entry.digest.hex(),
    }
    return json.dumps(written, separators=(",", ":")).encode() + b"\n"


def _entry(line: bytes) -> Entry:
    written: dict[str, Any] = json.loads(line)
    return Entry(
        seq=int(written["seq"]),
        at=from_ms(int(written["at_ms"])),
        actor=str(written["actor"]),
        command=str(written["command"]),
        action=str(written["action"]),
        scope=str(written["scope"]),
        detail=dict(written["detail"]),
        digest=bytes.fromhex(written["digest"]),
        sealed=False,
    )


def _drop_torn_line(file: BinaryIO) -> None:
    size = file.seek(0, os.SEEK_END)
    if size:
        whole = _tail(file, size, lines=0)
        end = size - len(whole)
        if end != size:
            file.truncate(end)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _last(file: BinaryIO) -> Entry | None:
    """The last whole line that is an entry; None in an empty file. Raises `Tampered` for one that is none."""
    size = file.seek(0, os.SEEK_END)
    torn = _tail(file, size, lines=0)
    line = _tail(file, size, lines=1)[: -len(torn) or None]
    if not line:
        return None
    try:
        return _entry(line)
    except _UNREADABLE:
        raise Tampered(f"the journal was changed: {file.name}", hint=RENEW) from None


def _tail(file: BinaryIO, size: int, *, lines: int) -> bytes:
    """The end of the file from so many whole lines before its last line break on."""
    read = b""
    while len(read) < size and read.count(b"\n") <= lines:
        start = max(0, size - len(read) - _PIECE)
        file.seek(start)
        read = file.read(size - len(read) - start) + read
    return b"\n".join(read.split(b"\n")[-1 - lines :])
