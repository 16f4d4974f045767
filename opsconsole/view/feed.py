"""What the poller has to say: the newest snapshot and whether reading still works.

A `Feed` always carries the last good snapshot, so the newest one alone is enough: older ones may be dropped. "No
change" is the same snapshot object with a later `read_at`; "failed" the same with a `failure`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from opsconsole.view import numbers
from opsconsole.view.snapshot import Question, Snapshot
from opsconsole.view.text import UNICODE, Glyphs, Line, Span, Tone, line


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the last reading failed, and when the next is tried. `text` holds no secret."""

    text: str
    hint: str | None
    retry_at: datetime


@dataclass(frozen=True, slots=True, eq=False)
class Feed:
    """The state of reading. Compared by identity, since comparing snapshots every second would be waste."""

    snapshot: Snapshot | None = None
    read_at: datetime | None = None
    """When a reading last succeeded."""
    failure: Failure | None = None

    def age(self, now: datetime) -> timedelta | None:
        return None if self.read_at is None else max(timedelta(0), now - self.read_at)


@dataclass(frozen=True, slots=True)
class Mode:
    """How the console is looking at the feed."""

    question: Question
    interval: float
    """Seconds between readings."""
    paused: bool = False
    window: str = ""
    """How far back it looks, in words; empty where a view has no window."""


def status(feed: Feed, mode: Mode, now: datetime, glyphs: Glyphs = UNICODE) -> Line:
    """The state in a word, then what there is to add: `● live`, `every 1 s · 0.4 s old`."""
    age = feed.age(now)
    if feed.failure is not None:
        stale = "no data" if age is None else f"stale {numbers.duration(age)}"
        return line(Span(f"{glyphs.alarm} {stale}", Tone.ALARM))
    if mode.paused:
        return line(Span(f"{glyphs.paused} paused", Tone.ACCENT), Span("space resumes", Tone.FAINT))
    if feed.snapshot is None or age is None or feed.snapshot.question != mode.question:
        return line(Span(f"{glyphs.hollow} reading{glyphs.ellipsis}", Tone.FAINT))
    every = f"every {mode.interval:g} s {glyphs.separator} {numbers.duration(age)} old"
    return line(Span(f"{glyphs.dot} live", Tone.STRONG), Span(every, Tone.FAINT))


def banner(feed: Feed, now: datetime, glyphs: Glyphs = UNICODE) -> Line | None:
    """What went wrong, how old the figures are and when it is tried again; None while reading works."""
    failure = feed.failure
    if failure is None:
        return None
    age = feed.age(now)
    figures = "nothing read yet" if age is None else f"figures {numbers.duration(age)} old"
    wait = max(0, round((failure.retry_at - now).total_seconds()))
    again = f"next try in {wait} s" if wait else "trying again"
    told = f"  {figures} {glyphs.separator} {again}"
    hint = f"  {failure.hint}" if failure.hint else ""
    return line(Span(f"{glyphs.alarm} {failure.text}", Tone.ALARM), Span(told), Span(hint, Tone.FAINT))
