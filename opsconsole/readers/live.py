"""Answers the Live view's question from ledger totals and workers' heartbeats.

While nothing has changed the answer is the same snapshot as before, so that nobody looks for what is different in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from keyvault.domain import reports
from keyvault.domain.workers import Worker
from opsconsole.readers.around import Around, Surroundings
from opsconsole.view.live import reading
from opsconsole.view.live.deltas import Reading, Readings
from opsconsole.view.live.snapshot import LiveQuestion, LiveSnapshot, Rates
from opsconsole.view.text import printable

if TYPE_CHECKING:
    from keyvault.home import Home

RENEWED: Final = timedelta(seconds=5)
"""How often what fills the newest step is put in relation to the time passed, while nothing is added to it."""


class _Told(NamedTuple):
    """All that an answer is made of."""

    question: LiveQuestion
    as_of: datetime
    picture: reports.LiveSnapshot
    now: Rates
    open_streams: int | None
    disabled: frozenset[str]
    around: Around


class LiveReader:
    """`zone`: whose midnight begins `today`, by name."""

    def __init__(self, home: Home, around: Surroundings, zone: str) -> None:
        self._home = home
        self._around = around
        self._zone = zone
        self._readings = Readings()
        self._last: tuple[_Told, LiveSnapshot] | None = None

    def read(self, question: LiveQuestion) -> LiveSnapshot:
        picture = self._home.reports.live(timedelta(seconds=question.window.seconds), question.by.value, self._zone)
        workers = self._home.workers.live()
        now = self._home.clock.now()
        told = _Told(
            question=question,
            as_of=_as_of(picture, now),
            picture=picture,
            now=self._rates(picture, now),
            open_streams=_open_streams(workers),
            around=self._surroundings(picture, now, workers),
            disabled=self._around.disabled,
        )
        if self._last is None or self._last[0] != told:
            self._last = (told, _snapshot(told, now))
        return self._last[1]

    def _rates(self, picture: reports.LiveSnapshot, now: datetime) -> Rates:
        today = picture.today
        self._readings.add(Reading(now, today.requests, today.input_tokens, today.output_tokens))
        return self._readings.rates() or reading.last_minute(picture)

    def _surroundings(self, picture: reports.LiveSnapshot, now: datetime, workers: Sequence[Worker]) -> Around:
        self._around.unpriced = tuple(printable(model) for model in picture.unpriced_models)
        self._around.ever_used = self._around.ever_used or picture.last_request_at is not None
        return self._around.read(now, workers)


def _as_of(picture: reports.LiveSnapshot, now: datetime) -> datetime:
    """When it is drawn as of: when it was read, moved on now and then while its newest step holds anything."""
    filling = bool(picture.points) and picture.points[-1].totals.attempts > 0
    return picture.at + (now - picture.at) // RENEWED * RENEWED if filling else picture.at


def _snapshot(told: _Told, now: datetime) -> LiveSnapshot:
    picture = replace(told.picture, at=told.as_of)
    return LiveSnapshot(
        question=told.question,
        taken_at=now,
        totals=reading.sums(picture.total),
        buckets=reading.buckets(picture),
        rows=reading.rows(picture),
        more_rows=len(picture.rows) > reading.MOST_ROWS,
        targets=reading.targets(picture.targets, told.disabled),
        now=told.now,
        spending=reading.spending(picture),
        open_streams=told.open_streams,
        last_request_at=picture.last_request_at,
        **told.around,
    )


def _open_streams(workers: Sequence[Worker]) -> int | None:
    streams = [worker.state["open_streams"] for worker in workers if "open_streams" in worker.state]
    return sum(streams) if streams else None
