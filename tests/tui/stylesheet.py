"""Stylesheets of test consoles: the texts are the same in all of them, and parsing them for each one, twice, takes a
fifth of a test."""

from __future__ import annotations

from typing import Any, Final

from textual.app import App
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet

_PARSED: Final[dict[tuple[Any, ...], list[RuleSet]]] = {}


class ParsedOnce(Stylesheet):
    """Parses a text with the same variables once in a process."""

    def _parse_rules(self, *source: Any, **told: Any) -> list[RuleSet]:
        key = (source, *told.items(), frozenset(self._variables.items()))
        if key not in _PARSED:
            _PARSED[key] = super()._parse_rules(*source, **told)
        return _PARSED[key]

    def reparse(self) -> None:
        self.parse()


def parse_once(console: App[None]) -> None:
    """For a console that is not running yet."""
    console.stylesheet = ParsedOnce(variables=console.get_css_variables())
