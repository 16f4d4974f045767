"""The store of runs: what a long command of the staging kit has done so far, and what it found.

A run is a directory `staging/KIND/ID` below the home's state, 0700, its files 0600. `run.json` says what is done, and
to what; `items.jsonl` gets a line for each part that is finished, on the disk before the next one counts, so that a run
that was interrupted goes on where it was; `report.json` is there once it has ended. A last line that was cut off by a
crash is as if it had never been begun. Answers of models are kept in plain text: `delete` removes them.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import msgspec

from keyvault import files
from keyvault.clock import Clock
from keyvault.errors import Conflict, NotFound, UsageError

KINDS: Final = ("check", "replay", "compare", "drill", "readiness")
_ID: Final = re.compile(r"[0-9a-z]{6,26}\Z")


@dataclass(frozen=True, slots=True)
class Summary:
    """What a list of runs tells of one."""

    kind: str
    id: str
    title: str
    began_at: datetime
    ended_at: datetime | None
    verdict: str | None
    """`passed`, `failed`, or a word of its kind; None while it is not done."""
    items: int


class Run:
    """One run. `plan` is what it set out to do, JSON as `begin` was given it."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self.directory = directory
        self.kind, self.id = directory.parent.name, directory.name
        self._clock = clock
        self._items: int | None = None

    @cached_property
    def _head(self) -> dict[str, Any]:
        return _object(self.directory / "run.json")

    @property
    def title(self) -> str:
        return str(self._head["title"])

    @property
    def plan(self) -> dict[str, Any]:
        plan = self._head["plan"]
        assert isinstance(plan, dict)
        return plan

    @property
    def report(self) -> dict[str, Any] | None:
        """What was found, None while it is not done."""
        path = self.directory / "report.json"
        return _object(path)["report"] if path.exists() else None

    @property
    def stamp(self) -> tuple[tuple[int, int] | None, ...]:
        """Another one when parts have come to it or it has ended."""
        return tuple(map(_stamp, (self.directory / "items.jsonl", self.directory / "report.json")))

    def summary(self) -> Summary:
        end = _object(self.directory / "report.json") if (self.directory / "report.json").exists() else {}
        return Summary(
            self.kind,
            self.id,
            self.title,
            datetime.fromisoformat(self._head["began_at"]),
            datetime.fromisoformat(end["ended_at"]) if end else None,
            end.get("verdict"),
            sum(1 for _ in self.items()),
        )

    def items(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each finished part by its id, in the order in which they finished; the later of two counts."""
        path = self.directory / "items.jsonl"
        if not path.exists():
            return
        with path.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    told = msgspec.json.decode(line)
                    yield told["id"], told["record"]

    def done(self) -> dict[str, dict[str, Any]]:
        """What is finished, by id."""
        return dict(self.items())

    def add(self, item: str, record: Mapping[str, Any]) -> None:
        """A part is finished: on the disk when this returns."""
        os.write(self._appending, msgspec.json.encode({"id": item, "record": record}) + b"\n")
        os.fsync(self._appending)

    def finish(self, report: Mapping[str, Any], verdict: str) -> None:
        """The run has ended. Called again, for a run that was looked at anew, it replaces what was found."""
        told = {"ended_at": self._clock.now().isoformat(), "verdict": verdict, "report": report}
        files.replace(self.directory / "report.json", msgspec.json.encode(told))
        self.release()

    def hold(self) -> None:
        """Let nobody else go on with it until it is released. Raises `Conflict` while somebody does."""
        _ = self._appending

    def release(self) -> None:
        """Let others go on with it."""
        if self._items is not None:
            os.close(self._items)
            self._items = None

    def delete(self) -> None:
        """Remove everything of it. Raises `Conflict` while it is under way elsewhere."""
        self.hold()
        self.release()
        shutil.rmtree(self.directory)

    @property
    def _appending(self) -> int:
        """The file of parts, for this process alone, without a line that was cut off. Raises `Conflict`."""
        if self._items is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self.directory / "items.jsonl", flags, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
                raise Conflict(f"{self.kind} {self.id} is under way in another process") from None
            whole = (self.directory / "items.jsonl").read_bytes()
            os.ftruncate(descriptor, whole.rfind(b"\n") + 1)
            self._items = descriptor
        return self._items


class Runs:
    """All runs below a home's state directory."""

    def __init__(self, state: Path, clock: Clock) -> None:
        self._root = state / "staging"
        self._clock = clock

    def begin(self, kind: str, title: str, plan: Mapping[str, Any]) -> Run:
        """A new run. Its id sorts by time."""
        assert kind in KINDS, kind
        directory = self._root / kind / self._clock.ulid().lower()
        directory.mkdir(mode=0o700, parents=True)
        for each in (self._root, self._root / kind):
            each.chmod(0o700)
        head = {"title": title, "began_at": self._clock.now().isoformat(), "plan": plan}
        files.replace(directory / "run.json", msgspec.json.encode(head))
        return Run(directory, self._clock)

    def open(self, kind: str, run_id: str) -> Run:
        """A run by its id, or by as much of its end as tells it from the others. Raises `NotFound`, `UsageError`."""
        found = [run for run in self._all(kind) if run.id.endswith(run_id.lower())]
        if not _ID.match(run_id.lower()) or not found:
            raise NotFound(f"no such run: {kind} {run_id[:40]!a}", hint=f"gwctl {kind} list")
        if len(found) > 1:
            raise UsageError(f"several runs end with {run_id!a}", hint=f"gwctl {kind} list")
        return found[0]

    def newest(self, kind: str) -> Run | None:
        """The run that began last."""
        return next(iter(self._all(kind)), None)

    def summaries(self, kind: str | None = None) -> list[Summary]:
        """The newest first."""
        return [run.summary() for run in self.each(kind)]

    def each(self, kind: str | None = None) -> list[Run]:
        """The newest first."""
        found = [run for each in ([kind] if kind else KINDS) for run in self._all(each)]
        return sorted(found, key=lambda run: run.id, reverse=True)

    def _all(self, kind: str) -> list[Run]:
        """The newest first; a directory without its head was begun by a process that did not live to write it."""
        directory = self._root / kind
        if not directory.is_dir():
            return []
        found = sorted(directory.iterdir(), reverse=True)
        return [Run(each, self._clock) for each in found if (each / "run.json").exists()]


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size


def _object(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_bytes())
    assert isinstance(value, dict), path
    return value
