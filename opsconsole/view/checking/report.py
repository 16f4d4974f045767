"""What a check found, as data: a result for each probe, with its differences. It goes into JSON and back."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from opsconsole.view.text import printable


class Verdict(StrEnum):
    """What became of one probe."""

    PASSED = "passed"
    DIFFERS = "differs"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Difference:
    """One aspect of an answer that is not as it is without the gateway, or as it has to be."""

    aspect: str
    expected: str | None
    """None: it is not there."""
    found: str | None
    allowed: str | None = None
    """Why a gateway may do this: then it counts for nothing."""


@dataclass(frozen=True, slots=True)
class Result:
    """One probe."""

    id: str
    about: str
    verdict: Verdict
    client: str
    """Who asked: `openai`, `anthropic` or `httpx`."""
    ms: float | None
    direct_ms: float | None = None
    differences: tuple[Difference, ...] = ()
    """What weighs most first."""
    allowed: tuple[Difference, ...] = ()
    reason: str | None = None
    """Why it was skipped."""

    @property
    def remark(self) -> str:
        """The result in one line; empty where all is well."""
        if self.verdict is Verdict.SKIPPED:
            return f"because {self.reason}"
        if not self.differences:
            return ""
        first, *others = self.differences
        return line(first, direct=self.direct_ms is not None) + (f" (and {len(others)} more)" if others else "")

    def to_json(self) -> dict[str, Any]:
        return _plain(self)


@dataclass(frozen=True, slots=True)
class CheckReport:
    """One check of one place."""

    url: str
    direct_url: str | None
    clients: tuple[str, ...]
    """What asked, with versions."""
    models: tuple[str, ...]
    results: tuple[Result, ...]

    @property
    def ok(self) -> bool:
        return not self.count(Verdict.DIFFERS)

    def count(self, verdict: Verdict) -> int:
        return Counter(result.verdict for result in self.results)[verdict]

    @property
    def summary(self) -> str:
        """Such as `38 passed, 1 differs, 2 skipped`."""
        return ", ".join(f"{self.count(verdict)} {verdict.value}" for verdict in Verdict)

    def to_json(self) -> dict[str, Any]:
        return {**_plain(self), "ok": self.ok}

    @classmethod
    def of_json(cls, told: Any) -> CheckReport:
        return msgspec.convert(told, cls)


def line(difference: Difference, *, direct: bool) -> str:
    """One difference in words."""
    there, here = ("direct", "here") if direct else ("expected", "found")
    expected, found = _short(difference.expected), _short(difference.found)
    return f"{difference.aspect}: {there} {expected}, {here} {found}"


def _plain(told: Result | CheckReport) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(told))
    return decoded


def _short(text: str | None, length: int = 60) -> str:
    if text is None:
        return "nothing"
    shown = printable(text)
    return shown if len(shown) <= length else f"{shown[: length - 1]}…"
