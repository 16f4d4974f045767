"""What every HTML file of ours begins and ends with: it loads nothing from anywhere, and no script in it could run."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from opsconsole.view.report.style import STYLE
from opsconsole.view.text import printable

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def framed(title: str, parts: Sequence[str]) -> str:
    """A whole page with `parts` below its title, the empty ones left out; they are markup, the title is text."""
    shown = escape(printable(title))
    every = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        f'<head>\n<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{shown}</title>\n<style>{STYLE}</style>\n</head>",
        f"<body>\n<h1>{shown}</h1>",
        *filter(None, parts),
        "</body>\n</html>",
    ]
    return "\n".join(every) + "\n"
