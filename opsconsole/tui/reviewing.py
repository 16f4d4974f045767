"""The blind review of one comparison, as the hands carry it out: every call is made in their thread.

Who won is told by `end` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsconsole.view.staging.blind import Shown

if TYPE_CHECKING:
    from keyvault.home import Home
    from opsconsole.staging.comparison.review import Choice, Review
    from opsconsole.staging.runs import Run
    from opsconsole.view.paper import Paper


class Reviewing:
    """Of one run, by its id or the end of it."""

    def __init__(self, run_id: str | None) -> None:
        self._run_id = run_id
        self._run: Run | None = None
        self._review: Review | None = None
        self._put_off: list[str] = []
        self._taken: list[str] = []
        """What was done here, the newest last: an id that was put off, or nothing for a decision."""

    def begin(self, home: Home) -> Shown | None:
        """The first pair; None: there is nothing to decide. Raises `NotFound`, `UsageError`."""
        from opsconsole.staging.comparison.comparisons import Comparisons
        from opsconsole.staging.comparison.review import Review

        self._run = Comparisons(home).open(self._run_id)
        self._review = Review(self._run)
        return self._next()

    def decide(self, pair_id: str, choice: Choice) -> Shown | None:
        """On the disk when this returns. Raises `Conflict` where another process reviews it."""
        self._known.decide(pair_id, choice)
        self._put_off = [each for each in self._put_off if each != pair_id]
        self._taken.append("")
        return self._next()

    def put_off(self, pair_id: str) -> Shown | None:
        """It comes again after the others."""
        self._put_off = [*(each for each in self._put_off if each != pair_id), pair_id]
        self._taken.append(pair_id)
        return self._next()

    def undo(self) -> Shown | None:
        """Take back what was done last: a decision, of an earlier sitting too, or that one was put off."""
        last = self._taken.pop() if self._taken else ""
        if last:
            self._put_off = [each for each in self._put_off if each != last]
        else:
            self._known.undo()
        return self._next()

    def end(self, _home: Home) -> Paper | None:
        """Let others go on with it; what came of it, where anything was decided."""
        from opsconsole.staging.comparison.comparisons import shown
        from opsconsole.view.comparison.forms import paper

        if self._review is None or self._run is None:
            return None
        try:
            return paper(shown(self._run)) if self._review.decided else None
        finally:
            self._review.close()

    @property
    def _known(self) -> Review:
        assert self._review is not None
        return self._review

    def _next(self) -> Shown | None:
        pair = self._known.next(self._put_off)
        if pair is None:
            return None
        counts = self._known.decided, self._known.pending, len(self._put_off)
        return Shown(pair.id, pair.task, pair.request, pair.left, pair.right, *counts)
