"""Answers the Live view's question from ledger totals and workers' heartbeats."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from keyvault.domain.workers import Worker
from opsconsole.readers.around import Surroundings
from opsconsole.view.live import reading
from opsconsole.view.live.deltas import Reading, Readings
from opsconsole.view.live.snapshot import LiveQuestion, LiveSnapshot
from opsconsole.view.text import printable

if TYPE_CHECKING:
    from keyvault.home import Home


class LiveReader:
    """`zone`: whose midnight begins `today`, by name."""

    def __init__(self, home: Home, around: Surroundings, zone: str) -> None:
        self._home = home
        self._around = around
        self._zone = zone
        self._readings = Readings()

    def read(self, question: LiveQuestion) -> LiveSnapshot:
        live = self._home.reports.live(timedelta(seconds=question.window.seconds), question.by.value, self._zone)
        workers = self._home.workers.live()
        self._around.unpriced = tuple(printable(model) for model in live.unpriced_models)
        self._around.ever_used = live.last_request_at is not None
        around = self._around.read(live.at, workers)
        today = live.today
        self._readings.add(Reading(live.at, today.requests, today.input_tokens, today.output_tokens))
        return LiveSnapshot(
            question=question,
            taken_at=live.at,
            totals=reading.sums(live.total),
            buckets=reading.buckets(live),
            rows=reading.rows(live),
            more_rows=len(live.rows) > reading.MOST_ROWS,
            targets=reading.targets(live.targets, self._around.disabled),
            now=self._readings.rates() or reading.last_minute(live),
            spending=reading.spending(live),
            open_streams=_open_streams(workers),
            last_request_at=live.last_request_at,
            **around,
        )


def _open_streams(workers: Sequence[Worker]) -> int | None:
    told = [worker.state["open_streams"] for worker in workers if "open_streams" in worker.state]
    return sum(told) if told else None
