"""What needs a person: said in a sentence each, the worst first.

An alert is a fact the console can see now: no worker, a target that fails, a model without a price, a key that ends;
or something that was noticed where nobody was looking, and is not over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from opsconsole.view import numbers
from opsconsole.view.health import Health, health, worst_first
from opsconsole.view.snapshot import Snapshot
from opsconsole.view.text import UNICODE, Glyphs, Span, Tone


@dataclass(frozen=True, slots=True)
class Alert:
    """`urgent`: requests are failing or cannot be served."""

    text: str
    urgent: bool = False

    def span(self, glyphs: Glyphs = UNICODE) -> Span:
        symbol = glyphs.alarm if self.urgent else glyphs.warning
        return Span(f"{symbol} {self.text}", Tone.ALARM if self.urgent else Tone.WARNING)


def alerts(snapshot: Snapshot, glyphs: Glyphs = UNICODE) -> tuple[Alert, ...]:
    """All alerts of a snapshot, urgent ones first; none before the first request, when the steps to it are shown."""
    if not (snapshot.setup.initialised and snapshot.setup.ever_used):
        return ()
    raised = [Alert(text, urgent=True) for text in snapshot.raised]
    found = [*_workers(snapshot), *raised, *_targets(snapshot, glyphs), *_prices(snapshot), *_keys(snapshot)]
    found += _captures(snapshot)
    return tuple(sorted(found, key=lambda alert: not alert.urgent))


def _workers(snapshot: Snapshot) -> list[Alert]:
    return [] if snapshot.workers else [Alert("no worker is running: gwctl serve", urgent=True)]


def _targets(snapshot: Snapshot, glyphs: Glyphs) -> list[Alert]:
    failing = [target for target in worst_first(snapshot.targets) if health(target) is Health.FAILING]
    return [
        Alert(
            f"{target.target}: {numbers.percent(target.failures / target.attempts, glyphs)} of attempts fail",
            urgent=True,
        )
        for target in failing
    ]


def _prices(snapshot: Snapshot) -> list[Alert]:
    models = snapshot.unpriced_models
    if not models:
        return []
    if len(models) == 1:
        return [Alert(f"{models[0]} has no price: its cost is unknown")]
    return [Alert(f"{len(models)} models have no price: {', '.join(models)}")]


def _keys(snapshot: Snapshot) -> list[Alert]:
    ending = sorted(snapshot.expiring_keys, key=lambda key: key.expires_at)
    return [Alert(f"key {key.name} {_ending(key.expires_at - snapshot.taken_at)}") for key in ending]


def _captures(snapshot: Snapshot) -> list[Alert]:
    """Nothing is wrong with it; but nobody should have to find out that what is sent is kept."""
    still = [(capture.of, capture.until - snapshot.taken_at) for capture in snapshot.captures]
    return [Alert(f"capturing {of} for another {numbers.duration(left)}") for of, left in still if left > timedelta(0)]


def _ending(left: timedelta) -> str:
    if left > timedelta(0):
        return f"expires in {numbers.duration(left)}"
    return f"expired {numbers.duration(-left)} ago"
