"""Blind review: on a pipe two answers and one letter a line, on a terminal the console's screen of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opsconsole.cli.text import harmless

if TYPE_CHECKING:
    from opsconsole.cli.io import IO
    from opsconsole.cli.session import Session
    from opsconsole.staging.comparison.review import Blind, Choice
    from opsconsole.staging.runs import Run

_CHOICES: Final[dict[str, Choice]] = {"1": "left", "2": "right", "=": "equal"}
_ASKED: Final = "1 the first, 2 the second, = equal, u undo, q quit: "


def reviewed(io: IO, run: Run) -> int:
    """Ask about one pair after the other until there is none, or no answer; how many were decided."""
    from opsconsole.staging.comparison.review import Review

    review = Review(run)
    before = review.decided
    try:
        while (pair := review.next()) is not None:
            _show(io, pair)
            typed = io.streams.stdin.readline()
            word = typed.strip().lower()
            if not typed or word == "q":
                break
            if word == "u":
                review.undo()
            elif word in _CHOICES:
                review.decide(pair.id, _CHOICES[word])
    finally:
        review.close()
    return review.decided - before


def reviewed_in_console(session: Session, run: Run) -> int:
    """Have the console show it until the person leaves that; how many were decided."""
    from opsconsole.staging.comparison.review import Review
    from opsconsole.tui.app import run_console

    before = Review(run).decided
    run_console(session.home, colour=session.io.colored, review=run.id)
    return Review(run).decided - before


def _show(io: IO, pair: Blind) -> None:
    """On stderr: what is chosen is data, what is asked is not."""
    task = f" ({pair.task})" if pair.task else ""
    parts = [
        f"--- {pair.place} of {pair.of}{task} ---",
        pair.request,
        "--- 1 ---",
        pair.left or "(empty)",
        "--- 2 ---",
        pair.right or "(empty)",
    ]
    text = "\n".join(harmless(line) for part in parts for line in part.split("\n"))
    io.streams.stderr.write(f"{text}\n{_ASKED}")
    io.streams.stderr.flush()
