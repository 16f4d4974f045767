"""The journal: a mirror of the audit log outside the database, one JSON line for each entry.

Whoever has committed a change brings it up to date; its last line is the anchor. A database whose log ends before it,
or says something else there, is older than what has been seen: a backup put back, which would revive revoked keys. Its
entries tell a restore what happened after the backup. It proves nothing against who can write both.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from keyvault import audit
from keyvault.audit import Entry
from keyvault.clock import from_ms, to_ms
from keyvault.domain.names import short_duration
from keyvault.errors import RolledBack, Tampered, Unavailable
from keyvault.storage import audit as rows
from keyvault.storage.engine import Transaction

_PIECE: Final = 64 * 1024


class Journal:
    """The journal in one file, made when first written. Processes may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def catch_up(self, tx: Transaction, keep: Callable[[], None] | None = None) -> int:
        """Append what the audit log has and the journal has not; how many entries. A log that does not go on from the
        journal's end is left alone: that is for `check` to tell. Raises `Unavailable` where it cannot be written.

        `keep` is called before anything is written: the database must not lose in a power cut what is told here, for it
        would look put back."""
        with self._locked() as file:
            last = _last(file)
            seq, digest = (last.seq, last.digest) if last else (0, audit.BEGIN)
            if rows.digest_at(tx, seq) != digest:
                return 0
            lines = [_line(entry) for entry in audit.entries(tx, seq)]
            if lines:
                if keep is not None:
                    keep()
                file.seek(0, os.SEEK_END)
                file.write(b"".join(lines))
                file.flush()
                os.fsync(file.fileno())
            return len(lines)

    def last(self) -> Entry | None:
        """The newest entry; None where there is no journal yet."""
        try:
            with self.path.open("rb") as file:
                return _last(file)
        except FileNotFoundError:
            return None

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

    def check(self, tx: Transaction, last: Entry | None = None) -> None:
        """Raise `RolledBack` where the database is older than the journal. Where others may write meanwhile, `last` is
        read before the transaction begins."""
        last = last or self.last()
        if last is None or rows.digest_at(tx, last.seq) == last.digest:
            return
        newest = next(map(audit.entry, rows.newest(tx, 1)), None)
        if newest is not None and newest.seq >= last.seq:
            how = f"its audit entry {last.seq} is not the one that was seen before"
        else:
            lost = last.seq - (newest.seq if newest else 0)
            age = f" and {short_duration(last.at - newest.at)}" if newest and newest.at < last.at else ""
            how = f"it is {lost} audit {'entry' if lost == 1 else 'entries'}{age} behind {self.path}"
        raise RolledBack(
            f"an older database was put back: {how}",
            hint="gwctl restore BACKUP --accept-rollback, or look into it and then gwctl vault reseal",
        )

    def begin_anew(self, tx: Transaction) -> Path | None:
        """Put the journal aside and begin one from the database as it is, when somebody decided that it holds; where
        the old one is now."""
        aside = None
        with self._locked() as file:
            last = _last(file)
            if last is not None and rows.digest_at(tx, last.seq) != last.digest:
                aside = self.path.with_name(f"{self.path.stem}.until-{last.seq}-{last.digest.hex()[:8]}.jsonl")
                self.path.rename(aside)
        self.catch_up(tx)
        return aside

    def _read(self, line: bytes) -> Entry:
        try:
            return _entry(line)
        except (ValueError, KeyError, TypeError):
            raise Tampered(f"the journal was changed: {self.path}", hint="gwctl audit verify") from None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        """The file, held against other processes, without a line that a crash cut short. Raises `Unavailable`."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            with os.fdopen(os.open(self.path, flags, 0o600), "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                _drop_torn_line(file)
                yield file
        except OSError as error:
            raise Unavailable(f"the journal cannot be written: {self.path}: {error.strerror}") from None


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


def _last(file: BinaryIO) -> Entry | None:
    """The last whole line that is an entry; None in an empty file. Raises `Tampered` for one that is none."""
    size = file.seek(0, os.SEEK_END)
    torn = _tail(file, size, lines=0)
    line = _tail(file, size, lines=1)[: -len(torn) or None]
    if not line:
        return None
    try:
        return _entry(line)
    except (ValueError, KeyError, TypeError):
        raise Tampered(f"the journal was changed: {file.name}", hint="gwctl audit verify") from None


def _tail(file: BinaryIO, size: int, *, lines: int) -> bytes:
    """The end of the file from so many whole lines before its last line break on."""
    read = b""
    while len(read) < size and read.count(b"\n") <= lines:
        start = max(0, size - len(read) - _PIECE)
        file.seek(start)
        read = file.read(size - len(read) - start) + read
    return b"\n".join(read.split(b"\n")[-1 - lines :])
