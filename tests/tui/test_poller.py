"""The poller: one reading after the other, three outcomes, the newest message wins."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from keyvault.errors import Unavailable
from opsconsole.tui.app import Console
from opsconsole.tui.poller import LONGEST_WAIT, Poller
from opsconsole.view.feed import Feed
from opsconsole.view.live.snapshot import GroupBy, LiveQuestion, LiveSnapshot
from opsconsole.view.snapshot import WINDOWS
from tests.conftest import FrozenClock
from tests.tui import examples
from tests.tui.driving import running
from tests.tui.examples import FakeReader

CANARY = "sk-canary-0123456789"


def poller_of(reader: FakeReader, clock: FrozenClock) -> Poller:
    return Poller(reader, lambda _feed: None, clock, LiveQuestion())


def failing(error: Exception) -> FakeReader:
    def answer(_question: LiveQuestion) -> LiveSnapshot:
        raise error

    return FakeReader(answer)


def test_new_figures_come_with_the_time_of_reading(clock: FrozenClock) -> None:
    feed, wait = poller_of(FakeReader(), clock).step(Feed())
    assert feed.snapshot == examples.busy()
    assert feed.read_at == clock.now()
    assert feed.failure is None
    assert wait == 1.0


def test_no_change_is_the_same_snapshot_read_later(clock: FrozenClock) -> None:
    reader = FakeReader(lambda _question: replace(examples.busy(), taken_at=clock.now()))
    poller = poller_of(reader, clock)
    first, _ = poller.step(Feed())
    clock.advance(seconds=1)
    second, _ = poller.step(first)
    assert second.snapshot is first.snapshot
    assert second.read_at == clock.now()


def test_an_empty_last_step_that_grows_older_is_no_change(clock: FrozenClock) -> None:
    quiet = examples.quiet()
    older = replace(quiet, buckets=(*quiet.buckets[:-1], replace(quiet.buckets[-1], seconds=31)))
    answers = iter([quiet, older])
    poller = poller_of(FakeReader(lambda _question: next(answers)), clock)
    first, _ = poller.step(Feed())
    second, _ = poller.step(first)
    assert second.snapshot is first.snapshot


def test_a_failure_keeps_the_last_figures_and_waits_ever_longer(clock: FrozenClock) -> None:
    poller = poller_of(failing(Unavailable("database: disk I/O error", hint="gwctl doctor")), clock)
    before = Feed(examples.busy(), clock.now())
    waits = []
    feed = before
    for _ in range(8):
        feed, wait = poller.step(feed)
        waits.append(wait)
    assert waits == [1, 2, 4, 8, 16, LONGEST_WAIT, LONGEST_WAIT, LONGEST_WAIT]
    assert feed.snapshot is before.snapshot
    assert feed.read_at == before.read_at
    assert feed.failure is not None
    assert (feed.failure.text, feed.failure.hint) == ("database: disk I/O error", "gwctl doctor")
    assert feed.failure.retry_at == clock.now() + timedelta(seconds=LONGEST_WAIT)


def test_after_a_success_the_waits_begin_anew(clock: FrozenClock) -> None:
    outcomes = iter([Unavailable("no"), Unavailable("no"), None, Unavailable("no")])

    def answer(_question: LiveQuestion) -> LiveSnapshot:
        outcome = next(outcomes)
        if outcome is not None:
            raise outcome
        return examples.busy()

    poller = poller_of(FakeReader(answer), clock)
    assert [poller.step(Feed())[1] for _ in range(4)] == [1, 2, 1, 1]


def test_an_unforeseen_error_is_survived_and_told_without_its_text(clock: FrozenClock) -> None:
    feed, _ = poller_of(failing(KeyError(CANARY)), clock).step(Feed())
    assert feed.failure is not None
    assert feed.failure.text == "the figures could not be read: KeyError"
    assert CANARY not in repr(feed)


@contextmanager
def started(reader: FakeReader, interval: float) -> Iterator[tuple[Poller, queue.Queue[Feed]]]:
    posted: queue.Queue[Feed] = queue.Queue()
    poller = Poller(reader, posted.put, FrozenClock(), LiveQuestion(), interval)
    poller.start()
    try:
        yield poller, posted
    finally:
        poller.stop()
        assert not poller.is_alive()


def test_a_question_is_answered_at_once_and_stays_asked() -> None:
    reader = FakeReader()
    other = LiveQuestion(WINDOWS[3], GroupBy.MODEL)
    with started(reader, interval=3600) as (poller, posted):
        posted.get(timeout=10)
        poller.ask(other)
        answered = posted.get(timeout=10)
        poller.read_now()
        posted.get(timeout=10)
    assert answered.snapshot is not None
    assert answered.snapshot.question == other
    assert reader.asked == [LiveQuestion(), other, other]


def test_a_slow_reading_is_never_overtaken_by_another() -> None:
    inside: list[int] = []
    most: list[int] = []
    pollers: list[Poller] = []

    def answer(question: LiveQuestion) -> LiveSnapshot:
        inside.append(1)
        most.append(len(inside))
        for poller in pollers:
            poller.read_now()
        inside.pop()
        return examples.busy(question)

    with started(FakeReader(answer), interval=3600) as (poller, posted):
        pollers.append(poller)
        poller.read_now()
        for _ in range(5):
            posted.get(timeout=10)
    assert set(most) == {1}


def test_of_questions_asked_during_a_reading_only_the_newest_is_answered() -> None:
    """As when a window is made longer and longer with quick presses."""
    windows = [LiveQuestion(window) for window in WINDOWS]
    pollers: queue.Queue[Poller] = queue.Queue()

    def answer(question: LiveQuestion) -> LiveSnapshot:
        if question == LiveQuestion():
            asked = pollers.get(timeout=10)
            for window in windows:
                asked.ask(window)
        return examples.busy(question)

    reader = FakeReader(answer)
    with started(reader, interval=3600) as (poller, posted):
        pollers.put(poller)
        answered = [posted.get(timeout=10).snapshot for _ in range(2)]
    assert [snapshot.question for snapshot in answered if snapshot] == reader.asked == [LiveQuestion(), windows[-1]]


async def test_an_answer_to_a_question_that_is_not_asked_any_more_is_passed_over() -> None:
    async with running() as (console, pilot):
        before = console.view.kept
        console.post_message(Console.Polled(Feed(examples.busy(LiveQuestion(WINDOWS[5])), console.frozen.now())))
        await pilot.pause()
        assert console.feed.snapshot is not before
        assert console.view.kept is before
        assert console.view.feed.snapshot is before


def test_of_waiting_messages_only_the_newest_counts() -> None:
    assert Console.Polled(Feed()).can_replace(Console.Polled(Feed()))
