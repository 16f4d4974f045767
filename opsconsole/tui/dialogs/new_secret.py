"""The one dialog that holds a plain-text secret: a new key's, shown once, until somebody has taken it along.

It is masked until asked for, goes to the terminal's clipboard at a key, and leaves memory with the dialog. While it is
open the first request with it is watched for, so that one sees it work.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from opsconsole.tui.deeds.keys import Fresh
from opsconsole.tui.theme import painted
from opsconsole.view import numbers
from opsconsole.view.feed import Feed
from opsconsole.view.keys import words
from opsconsole.view.keys.snapshot import FirstRequest, KeysSnapshot
from opsconsole.view.text import Glyphs, Line, Span, Tone, line

PREFIX: Final = 15
"""What of a secret is shown while it is masked: what says whose it is, `sk-gw_live_` and four more."""
MASK: Final = "•"
HIDDEN: Final = 30
NAMED: Final = 4
"""How many models are named."""
REFUSED: Final = (401, 403)
SHORT: Final = 20
"""In fewer lines than that nothing is told twice and no line is left blank."""
_HERE: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - told apart, not bound
"""Where to call a worker that listens on every address, from this machine."""


class NewSecret(ModalScreen[None]):
    """Done when it was taken along."""

    BINDINGS: ClassVar = [
        Binding("v", "show", "show", show=False),
        Binding("y", "copy", "copy", show=False),
        Binding("escape", "leave", "done", show=False),
    ]
    AUTO_FOCUS = "#done"

    def __init__(self, fresh: Fresh, glyphs: Glyphs) -> None:
        super().__init__()
        self._fresh: Fresh | None = fresh
        self._glyphs = glyphs
        self._shown = False
        self._seen = False
        self._sent = False
        """Whether it was handed to the terminal, which may have done nothing with it."""
        self._warned = False
        self._listen: str | None = None
        self._first: FirstRequest | None = None
        self._now: datetime | None = None
        self._models: tuple[str, ...] = ()

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self._fresh.title if self._fresh else "", classes="dialog-title", markup=False)
            with VerticalScroll(id="taken-along", can_focus=False):
                yield Static("", id="secret", markup=False)
                yield Static("", id="use", markup=False)
            yield Static("", id="first", markup=False)
            with Horizontal(id="ways"):
                yield Button("Done", id="done", compact=True)

    def on_mount(self) -> None:
        self.watch(self.app, "feed", self._look)
        self._draw()

    def on_resize(self) -> None:
        self.set_class(self._is_short, "-short")
        self._draw()

    @property
    def _is_short(self) -> bool:
        return self.size.height < SHORT

    # What is seen

    def _look(self, feed: Feed) -> None:
        """Whether the first request has come, and where the gateway listens."""
        snapshot = feed.snapshot
        if self._fresh is None or snapshot is None:
            return
        self._listen, self._now = snapshot.setup.listen, snapshot.taken_at
        if isinstance(snapshot, KeysSnapshot):
            self._models = snapshot.models
            if snapshot.question.awaited == self._fresh.awaited:
                self._first = snapshot.first
        self._draw()

    def _draw(self) -> None:
        if self._fresh is None or not self.is_mounted:
            return
        self.query_one("#secret", Static).update(painted(*self._secret_lines(self._fresh)))
        self.query_one("#use", Static).update(painted(*self._use_lines(self._fresh)))
        self.query_one("#first", Static).update(painted(self._first_line()))

    def _text(self, fresh: Fresh) -> str:
        text = fresh.secret.reveal()
        return text if self._shown else text[:PREFIX] + MASK * HIDDEN

    def _secret_lines(self, fresh: Fresh) -> Iterator[Line]:
        yield line(Span(self._text(fresh), Tone.STRONG))
        hide = "hides" if self._shown else "shows"
        yield line(Span("v", Tone.ACCENT), Span(f" {hide} it   ", Tone.FAINT), Span("y", Tone.ACCENT),
                   Span(" copies it", Tone.FAINT))  # fmt: skip
        if self._sent:
            yield line(Span("sent to the terminal's clipboard; if pasting gives nothing, v shows it", Tone.MONEY))
        if not self._is_short:
            yield ()

    def _use_lines(self, fresh: Fresh) -> Iterator[Line]:
        yield line("This is the only time it can be shown. Use it:")
        if self._listen is None:
            yield line(Span("  no worker is running yet: gwctl serve", Tone.WARNING))
        else:
            host, _, port = self._listen.rpartition(":")
            yield line(Span("  OPENAI_BASE_URL=", Tone.FAINT), f"http://{_HERE.get(host, host)}:{port}/v1")
        if not self._is_short:
            yield line(Span("  OPENAI_API_KEY=", Tone.FAINT), self._text(fresh))
        if self._models:
            others = self._glyphs.ellipsis if len(self._models) > NAMED else ""
            yield line(Span("  with a model such as ", Tone.FAINT), ", ".join(self._models[:NAMED]) + others)
        if fresh.remark:
            if not self._is_short:
                yield ()
            yield line(Span(fresh.remark, Tone.FAINT))
        if not self._is_short:
            yield ()

    def _first_line(self) -> Line:
        if self._warned:
            told = f"{self._glyphs.warning} nobody has seen it yet: v shows it, esc again leaves it"
            return line(Span(told, Tone.WARNING))
        if self._first is None:
            return line(Span(f"{self._glyphs.hollow} waiting for its first request{self._glyphs.ellipsis}", Tone.FAINT))
        return self._told(self._first)

    def _told(self, first: FirstRequest) -> Line:
        """`● first request 4 s ago: gpt-5, 200, 412 ms`"""
        status = "no answer" if first.status is None else str(first.status)
        served = first.outcome == "served"
        when = words.ago(first.at, self._now, self._glyphs) if self._now else "now"
        when = "just now" if when == "now" else f"{when} ago"
        told = f"{'first' if served else 'newest'} request {when}: {first.model}, {status}"
        if served:
            took = numbers.latency(first.total_ms, self._glyphs)
            return line(Span(f"{self._glyphs.dot} {told}, {took}", Tone.MONEY))
        return line(Span(f"{self._glyphs.warning} {told}; {_why(first)}", Tone.WARNING))

    # What can be done

    def action_show(self) -> None:
        self._shown, self._seen, self._warned = not self._shown, True, False
        self._draw()

    def action_copy(self) -> None:
        if self._fresh is not None:
            self.app.copy_to_clipboard(self._fresh.secret.reveal())
            self.app._clipboard = ""  # Textual would keep what it has handed to the terminal
            self._sent, self._warned = True, False
            self._draw()

    def action_leave(self) -> None:
        """Escape: at once when somebody has seen it or used it; else only when pressed again."""
        if self._seen or self._warned or self._first is not None:
            self._end()
        else:
            self._warned = True
            self._draw()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.action_leave()

    def _end(self) -> None:
        self._fresh = None
        for name in ("#secret", "#use"):
            self.query_one(name, Static).update("")
        self.dismiss(None)


def _why(first: FirstRequest) -> str:
    """What went wrong. The key itself was good, or there would be no request on record; 401 and 403 are what a
    provider says of the gateway's own account."""
    told = first.error or first.outcome
    return f"{told}: the provider refused the gateway's account" if first.status in REFUSED else told
