"""`python -m screenshots`: draws every picture anew as SVG, the README's also as PNG where cairosvg is installed."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Final

from keyvault.home import Home
from opsconsole.readers.home import HomeReader
from opsconsole.tui.app import Console
from opsconsole.tui.hands import NoHands
from opsconsole.tui.preferences import Preferences
from opsconsole.view.text import UNICODE
from screenshots.demo import make_home
from screenshots.svg import portable

HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Picture:
    name: str
    size: tuple[int, int]
    keys: tuple[str, ...] = ()
    png: bool = False
    """Also as PNG, for the README."""
    theme: str = "dark"


PICTURES: Final = (
    Picture("live", (120, 34), png=True),
    Picture("live-narrow", (80, 24)),
    Picture("live-wide", (190, 50)),
    Picture("live-graphs", (120, 34), ("z",)),
    Picture("live-models", (120, 34), ("g", "m")),
    Picture("keys", (132, 34), ("2", "j", "j", "j")),
    Picture("key-new", (120, 34), ("2", "n")),
    Picture("vault", (120, 34), ("3",)),
    Picture("routes", (120, 34), ("4", "j", "j")),
    Picture("usage", (132, 38), ("5",)),
    Picture("usage-graphs", (120, 38), ("5", "z")),
    Picture("requests", (120, 34), ("6",)),
    Picture("request", (120, 34), ("6", "enter")),
    Picture("help", (100, 50), ("2", "question_mark")),
    Picture("live-light", (120, 34), theme="light"),
    Picture("keys-plain", (120, 34), ("2",), theme="plain"),
)


async def draw(home: Home, picture: Picture) -> str:
    """The console on a home, after some keys, as a portable SVG."""
    wanted = Preferences(theme=picture.theme)
    console = Console(
        HomeReader(home, "UTC"), clock=home.clock, zone=UTC, glyphs=UNICODE, preferences=wanted, hands=NoHands()
    )
    async with console.run_test(size=picture.size) as pilot:
        while console.feed.read_at is None:
            await pilot.pause(0.01)
        for key in picture.keys:
            await pilot.press(key)
            await pilot.pause(0.2)
            while console.view.kept is None:
                await pilot.pause(0.01)
        await pilot.pause(0.5)
        return portable(console.export_screenshot(title="gwctl console"))


def main() -> None:
    png = importlib.util.find_spec("cairosvg") is not None
    with tempfile.TemporaryDirectory() as root:
        home = make_home(Path(root))
        for picture in PICTURES:
            file = HERE / f"{picture.name}.svg"
            file.write_text(asyncio.run(draw(home, picture)), encoding="utf-8")
            if png and picture.png:
                _to_png(file)
            print(file.name, f"{picture.size[0]}×{picture.size[1]}")  # noqa: T201
        home.close()
    if not png:
        print("no PNG: pip install cairosvg", file=sys.stderr)  # noqa: T201


def _to_png(file: Path) -> None:
    import cairosvg  # type: ignore[import-untyped]

    # Cairo takes the first font of a list, there or not.
    drawn = file.read_text(encoding="utf-8").replace("'Fira Code', ", "")
    cairosvg.svg2png(bytestring=drawn.encode(), write_to=str(file.with_suffix(".png")), scale=0.9)


if __name__ == "__main__":
    main()
