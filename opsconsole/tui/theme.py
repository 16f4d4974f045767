"""The console's colours: two greys, one hue for money, one for tokens, one accent; amber and red only for trouble.

The backgrounds are near enough to neutral grey that a terminal of 256 colours still tells them apart.
"""

from __future__ import annotations

from typing import Final

from textual.content import Content
from textual.theme import Theme

from opsconsole.view.text import Line, Tone

THEME: Final = Theme(
    name="gateway",
    primary="#b6a4f2",
    secondary="#7fb2e5",
    accent="#b6a4f2",
    warning="#e3aa55",
    error="#f0716e",
    success="#8fc78a",
    foreground="#ccd2da",
    background="#121417",
    surface="#1c1f24",
    panel="#242830",
    dark=True,
    variables={
        "strong": "#f2f4f7",
        "faint": "#848d99",
        "money": "#8fc78a",
        "tokens": "#7fb2e5",
        "rule": "#2b333e",
        "selected": "#30353f",
        "footer-key-foreground": "#b6a4f2",
        "input-selection-background": "#b6a4f2 30%",
        "block-cursor-background": "#30353f",
        "block-cursor-foreground": "#f2f4f7",
    },
)

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


def painted(*lines: Line) -> Content:
    """Lines of spans as Textual content; the text is taken literally, never as markup."""
    return Content("\n").join(Content.assemble(*((text, STYLES[tone]) for text, tone in line)) for line in lines)
