"""Watches for the first request with a new secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyvault.domain.reports import RequestLine
from opsconsole.view.keys.snapshot import Awaited, FirstRequest
from opsconsole.view.text import printable

if TYPE_CHECKING:
    from keyvault.metering.reports import Follow, Reports


class FirstRequests:
    """From when it is first asked for a secret, every request that ends is looked at until one with it was served."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports
        self._awaited: Awaited | None = None
        self._follow: Follow | None = None
        self._found: FirstRequest | None = None

    def of(self, awaited: Awaited | None) -> FirstRequest | None:
        """The one that was served, else the newest; None while there was none."""
        if awaited != self._awaited:
            self._awaited, self._found = awaited, None
            self._follow = self._reports.follow() if awaited else None
        if awaited is not None and self._follow is not None and not self._served:
            for line in self._follow.next():
                if not self._served and line.key == awaited.key and self._is_of(line, awaited):
                    self._found = _told(line)
        return self._found

    @property
    def _served(self) -> bool:
        return self._found is not None and self._found.outcome == "served"

    def _is_of(self, line: RequestLine, awaited: Awaited) -> bool:
        return self._reports.request(line.request_id).generation == awaited.generation


def _told(line: RequestLine) -> FirstRequest:
    return FirstRequest(printable(line.model), line.status, line.outcome, line.total_ms, line.at, line.error)
