"""Stylesheets of test consoles: the texts are the same in all of them, and parsing them for each one, twice, takes a
fifth of a test."""

from __future__ import annotations

from typing import Any, Final

from textual.app import App
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet

_PARSED: Final[dict[frozenset[tuple[str, str]], dict[tuple[Any, ...], list[RuleSet]]]] = {}
"""By the variables, then by the text and where it comes from."""


class ParsedOnce(Stylesheet):
    """Parses a text with the same variables once in a process."""

    def __init__(self, *, variables: dict[str, str]) -> None:
        super().__init__(variables=variables)
        self.set_variables(variables)

    def set_variables(self, variables: dict[str, str]) -> None:
        super().set_variables(variables)
        self._parsed = _PARSED.setdefault(frozenset(variables.items()), {})

    def _parse_rules(self, *source: Any, **told: Any) -> list[RuleSet]:
        key = (source, *told.values())
        if key not in self._parsed:
            self._parsed[key] = super()._parse_rules(*source, **told)
        return self._parsed[key]

    def reparse(self) -> None:
        self.parse()


def parse_once(console: App[None]) -> None:
    """For a console that is not running yet."""
    console.stylesheet = ParsedOnce(variables=console.get_css_variables())
