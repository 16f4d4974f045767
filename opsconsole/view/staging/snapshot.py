"""What the Staging screen knows at one moment: what is on trial now, and what the kit's runs have found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from keyvault.domain.captures import Capture
from keyvault.domain.drills import Drill
from keyvault.domain.rollouts import Rollout
from opsconsole.view.paper import Paper
from opsconsole.view.snapshot import Question, Snapshot
from opsconsole.view.table import RowKey

if TYPE_CHECKING:
    from keyvault.routing.rollouts import Status

ROLLOUT = "rollout"
DRILL = "drill"
CAPTURE = "capture"
COMPARE = "compare"


@dataclass(frozen=True, slots=True)
class StagingQuestion(Question):
    """What the Staging screen wants to know. `opened`: also all of this row, for a page of its own."""

    opened: RowKey | None = None


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run of the kit. Its key begins with its id, which is what one copies."""

    kind: str
    id: str
    title: str
    began_at: datetime
    ended_at: datetime | None
    verdict: str | None
    """None while it is not done."""
    items: int

    @property
    def key(self) -> RowKey:
        return self.id, self.kind


def rollout_key(rollout: Rollout) -> RowKey:
    return rollout.alias, ROLLOUT, str(rollout.id)


def drill_key(drill: Drill) -> RowKey:
    return drill.key, DRILL, str(drill.id)


def capture_key(capture: Capture) -> RowKey:
    return capture.name, CAPTURE


@dataclass(frozen=True, slots=True)
class Names:
    """What forms offer to choose from."""

    aliases: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


NO_NAMES: Final = Names()


@dataclass(frozen=True, slots=True)
class StagingSnapshot(Snapshot):
    """The answer to a `StagingQuestion`."""

    question: StagingQuestion
    trials: tuple[Status, ...] = ()
    """The rollouts that run or are paused."""
    ended: tuple[Rollout, ...] = ()
    """Those that have ended, the newest."""
    drills: tuple[Drill, ...] = ()
    """Those under way."""
    taken: tuple[Capture, ...] = ()
    """Every capture that is not deleted."""
    runs: tuple[RunRow, ...] = ()
    more: bool = False
    """There are more runs than these."""
    names: Names = NO_NAMES
    paper: Paper | None = None
    """All of the row that was opened; None where it has gone."""

    def trial(self, key: RowKey | None) -> Status | None:
        """The live rollout of a row, of another row the first one there is."""
        found = next((each for each in self.trials if rollout_key(each.rollout) == key), None)
        return found or next(iter(self.trials), None)
