"""The console's looks: two greys, one hue for money, one for tokens, one accent; amber and red only for trouble.

The backgrounds are near enough to neutral grey that a terminal of 256 colours still tells them apart. `plain` has no
hue at all, for eyes and terminals without: symbols and words carry every meaning anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from string import Template
from typing import Final

from rich.style import Style
from textual.content import Content
from textual.theme import Theme

from opsconsole.view.text import Line, Tone


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one look."""

    background: str
    surface: str
    panel: str
    selected: str
    rule: str
    faint: str
    foreground: str
    strong: str
    accent: str
    money: str
    tokens: str
    warning: str
    error: str
    dark: bool = True

    def theme(self, name: str) -> Theme:
        return Theme(
            name=name,
            primary=self.accent,
            secondary=self.tokens,
            accent=self.accent,
            warning=self.warning,
            error=self.error,
            success=self.money,
            foreground=self.foreground,
            background=self.background,
            surface=self.surface,
            panel=self.panel,
            dark=self.dark,
            variables={
                "strong": self.strong,
                "faint": self.faint,
                "money": self.money,
                "tokens": self.tokens,
                "rule": self.rule,
                "selected": self.selected,
                "footer-key-foreground": self.accent,
                "input-selection-background": f"{self.accent} 30%",
                "block-cursor-background": self.selected,
                "block-cursor-foreground": self.strong,
            },
        )


PALETTES: Final = {
    "dark": Palette(
        background="#121417",
        surface="#1c1f24",
        panel="#242830",
        selected="#30353f",
        rule="#2b333e",
        faint="#848d99",
        foreground="#ccd2da",
        strong="#f2f4f7",
        accent="#b6a4f2",
        money="#8fc78a",
        tokens="#7fb2e5",
        warning="#e3aa55",
        error="#f0716e",
    ),
    "light": Palette(
        background="#fbfbfa",
        surface="#efefed",
        panel="#e6e6e3",
        selected="#d9dae4",
        rule="#d3d3cf",
        faint="#6a6e76",
        foreground="#2c3036",
        strong="#0c0e11",
        accent="#5b3fc4",
        money="#2b6e2f",
        tokens="#1b5f9e",
        warning="#8a5500",
        error="#b3211d",
        dark=False,
    ),
    "contrast": Palette(
        background="#000000",
        surface="#000000",
        panel="#101010",
        selected="#3a3a00",
        rule="#ffffff",
        faint="#d0d0d0",
        foreground="#ffffff",
        strong="#ffffff",
        accent="#ffff00",
        money="#7dff7d",
        tokens="#7de3ff",
        warning="#ffc400",
        error="#ff7d7d",
    ),
    "plain": Palette(
        background="#121212",
        surface="#1e1e1e",
        panel="#262626",
        selected="#3a3a3a",
        rule="#303030",
        faint="#8a8a8a",
        foreground="#d0d0d0",
        strong="#ffffff",
        accent="#ffffff",
        money="#d0d0d0",
        tokens="#d0d0d0",
        warning="#ffffff",
        error="#ffffff",
    ),
}
"""The looks there are, by name; contrast is at least 4.5 to 1 everywhere, 7 to 1 in `contrast`."""
USUAL: Final = "dark"
COLOURLESS: Final = "plain"

STYLES: Final = {
    Tone.PLAIN: "$foreground",
    Tone.STRONG: "bold $strong",
    Tone.FAINT: "$faint",
    Tone.MONEY: "$money",
    Tone.TOKENS: "$tokens",
    Tone.ACCENT: "$accent",
    Tone.WARNING: "$warning",
    Tone.ALARM: "bold $error",
}


@cache
def tones(look: str) -> Mapping[Tone, Style]:
    """The style of each tone in a look, on any background. Worked out once: if the style sheet had them, matching its
    rules for every tone of every widget would be most of what opening a view costs."""
    colours = asdict(PALETTES[look])
    return {tone: Style.parse(Template(style).substitute(colours)) for tone, style in STYLES.items()}


def painted(*lines: Line) -> Content:
    """Lines of spans as Textual content; the text is taken literally, never as markup."""
    return Content("\n").join(Content.assemble(*((text, STYLES[tone]) for text, tone in line)) for line in lines)
