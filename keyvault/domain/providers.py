"""Provider presets: what is known about each provider, as data in `providers.toml`.

A preset fills in an upstream when it is made; nothing reads it afterwards except to list presets and to test an
upstream. What nobody has seen to work says so: `verified` is None.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from keyvault.domain.endpoints import Dialect
from keyvault.domain.names import not_found


@dataclass(frozen=True, slots=True)
class Preset:
    """A provider's origin, header and habits."""

    name: str
    title: str
    dialects: frozenset[Dialect]
    stream_usage: bool
    """Takes `stream_options.include_usage`."""
    base_url: str | None = None
    """None: it differs from account to account and must be given."""
    base_url_form: str = ""
    """What a base URL looks like where it must be given."""
    auth_header: str = "authorization"
    auth_scheme: str = "Bearer"
    needs_secret: bool = True
    private: bool = False
    """Usually runs on one's own machine."""
    catalogue: str | None = None
    """The provider id in genai-prices, or None where there is no list price."""
    output_cap: str = "max_tokens"
    """The chat field that caps the output."""
    test_call: str = "chat"
    """The dialect an upstream is tested in."""
    test_output_tokens: int = 1
    lists_models: bool = True
    """`GET /models` names models that can be called."""
    extra_headers: Mapping[str, str] = field(default_factory=dict)
    verified: str | None = None
    """Against what and when the preset was seen to work; None: untried."""


def preset(name: str) -> Preset:
    """The preset of a provider. Raises `NotFound` with the nearest name."""
    known = _presets()
    if name not in known:
        raise not_found("provider", name, known, otherwise="gwctl upstreams presets")
    return known[name]


def presets() -> tuple[Preset, ...]:
    """All presets, in the order of the file."""
    return tuple(_presets().values())


@cache
def _presets() -> dict[str, Preset]:
    text = resources.files("keyvault.domain").joinpath("providers.toml").read_text("utf-8")
    return {name: _preset(name, table) for name, table in tomllib.loads(text).items()}


def _preset(name: str, table: dict[str, Any]) -> Preset:
    return Preset(name, **{**table, "dialects": frozenset(map(Dialect, table["dialects"]))})
