"""The one dialog that holds a plain-text secret: a new key's, shown once, until somebody has taken it along.

It is masked until asked for, goes to the terminal's clipboard at a key, and leaves memory with the dialog. While it is
open the first request with it is watched for, so that one sees it work.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from opsconsole.tui.deeds.keys import Fresh
from opsconsole.tui.theme import painted
from opsconsole.view import numbers
from opsconsole.view.feed import Feed
from opsconsole.view.keys.snapshot import FirstRequest, KeysSnapshot
from opsconsole.view.text import Glyphs, Line, Span, Tone, line

PREFIX: Final = 15
"""What of a secret is shown while it is masked: what says whose it is, `sk-gw_live_` and four more."""
MASK: Final = "•"
HIDDEN: Final = 30
NAMED: Final = 4
"""How many models are named."""
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
        self._taken = False
        """Whether it was seen or copied."""
        self._warned = False
        self._listen: str | None = None
        self._first: FirstRequest | None = None
        self._models: tuple[str, ...] = ()

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self._fresh.title if self._fresh else "", classes="dialog-title", markup=False)
            yield Static("", id="secret", markup=False)
            yield Static("", id="use", markup=False)
            yield Static("", id="first", markup=False)
            with Horizontal(id="ways"):
                yield Button("Done", id="done", compact=True)

    def on_mount(self) -> None:
        self.watch(self.app, "feed", self._look)
        self._draw()

    # What is seen

    def _look(self, feed: Feed) -> None:
        """Whether the first request has come, and where the gateway listens."""
        snapshot = feed.snapshot
        if self._fresh is None or snapshot is None:
            return
        self._listen = snapshot.setup.listen
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
        copied = (Span("   copied", Tone.MONEY),) if self._taken and not self._shown else ()
        yield line(Span("v", Tone.ACCENT), Span(f" {hide} it   ", Tone.FAINT), Span("y", Tone.ACCENT),
                   Span(" copies it", Tone.FAINT), *copied)  # fmt: skip
        yield ()

    def _use_lines(self, fresh: Fresh) -> Iterator[Line]:
        yield line("This is the only time it can be shown. Use it:")
        if self._listen is None:
            yield line(Span("  no worker is running yet: gwctl serve", Tone.WARNING))
        else:
            host, _, port = self._listen.rpartition(":")
            yield line(Span("  OPENAI_BASE_URL=", Tone.FAINT), f"http://{_HERE.get(host, host)}:{port}/v1")
        yield line(Span("  OPENAI_API_KEY=", Tone.FAINT), self._text(fresh))
        if self._models:
            others = self._glyphs.ellipsis if len(self._models) > NAMED else ""
            yield line(Span("  with a model such as ", Tone.FAINT), ", ".join(self._models[:NAMED]) + others)
        if fresh.remark:
            yield ()
            yield line(Span(fresh.remark, Tone.FAINT))
        yield ()

    def _first_line(self) -> Line:
        first = self._first
        if self._warned and first is None:
            return line(Span(f"{self._glyphs.warning} nobody has copied it yet: y copies it, esc again leaves it",
                             Tone.WARNING))  # fmt: skip
        if first is None:
            return line(Span(f"{self._glyphs.hollow} waiting for its first request{self._glyphs.ellipsis}", Tone.FAINT))
        status = "no answer" if first.status is None else str(first.status)
        told = f"first request just now: {first.model}, {status}, {numbers.latency(first.total_ms, self._glyphs)}"
        if first.outcome == "served":
            return line(Span(f"{self._glyphs.dot} {told}", Tone.MONEY))
        return line(Span(f"{self._glyphs.warning} {told} {first.error or first.outcome}", Tone.WARNING))

    # What can be done

    def action_show(self) -> None:
        self._shown, self._taken = not self._shown, True
        self._draw()

    def action_copy(self) -> None:
        if self._fresh is not None:
            self.app.copy_to_clipboard(self._fresh.secret.reveal())
            self.app._clipboard = ""  # Textual would keep what it has handed to the terminal
            self._taken, self._warned = True, False
            self._draw()

    def action_leave(self) -> None:
        """Escape: at once when somebody has it or it works; else only when pressed again."""
        if self._taken or self._warned or self._first is not None:
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
