"""The demo's gateway: three simulated provider accounts, customers with projects and keys, prices and routes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keyvault.domain.keys import Policy
from keyvault.domain.prices import Rates, flat
from keyvault.domain.routes import Target
from keyvault.domain.vault import SlotKind
from keyvault.home import Home
from keyvault.money import parse_usd
from keyvault.secrets import Secret
from opsconsole.staging.simulation.pace import Pace
from opsconsole.staging.simulation.profile import Profile

_FAILURES: Final = {"429": 0.02, "500": 0.01, "error": 0.01, "early-error": 0.01, "cut": 0.01, "cached": 0.1}

PROFILES: Final = {
    "openai": Profile(
        models=("gpt-5", "gpt-5-mini", "text-embedding-3-small"),
        credential="sk-simulated-openai",
        seed=11,
        pace=Pace(first_content_ms=350, tokens_per_second=70),
        failures=_FAILURES,
    ),
    "anthropic": Profile(
        models=("claude-sonnet-4-5", "claude-haiku-4-5"),
        credential="sk-simulated-anthropic",
        seed=12,
        pace=Pace(first_content_ms=500, tokens_per_second=60),
        failures=_FAILURES,
    ),
    "local": Profile(
        models=("llama-3.3-70b",),
        credential="sk-simulated-local",
        seed=13,
        pace=Pace(first_content_ms=120, tokens_per_second=45),
        failures={"503": 0.02},
    ),
}
"""Upstream name → the provider behind it."""

_PRESETS: Final = {"openai": "openai", "anthropic": "anthropic", "local": "vllm"}

_PRICES: Final = {
    "openai/gpt-5": ("1.25", "0.125", "10"),
    "openai/gpt-5-mini": ("0.25", "0.025", "2"),
    "openai/text-embedding-3-small": ("0.02", "0.02", "0"),
    "anthropic/claude-sonnet-4-5": ("3", "0.30", "15"),
    "anthropic/claude-haiku-4-5": ("1", "0.10", "5"),
    "local/llama-3.3-70b": ("0.10", "0.05", "0.30"),
}
"""Target → dollars per million tokens of input, cached input and output."""

ROUTES: Final = {
    "smart": ("openai/gpt-5", "local/llama-3.3-70b"),
    "fast": ("openai/gpt-5-mini", "local/llama-3.3-70b"),
    "writer": ("anthropic/claude-sonnet-4-5",),
    "helper": ("anthropic/claude-haiku-4-5",),
    "embed": ("openai/text-embedding-3-small",),
}
"""Alias → targets, the first before its fallbacks."""

_KEYS: Final = {
    "web-frontend": "acme/web",
    "nightly-batch": "acme/batch",
    "search-api": "globex/search",
    "docs-writer": "globex/docs",
    "support-bot": "initech/support",
}
"""Key → its project."""


@dataclass(frozen=True, slots=True)
class DemoHome:
    """What was set up. `secrets`: key name → the secret its clients use."""

    secrets: dict[str, Secret]


def furnish(home: Home, base_urls: dict[str, str]) -> DemoHome:
    """Set everything up in a new home. `base_urls`: upstream name → where its simulated provider listens."""
    home.initialise(SlotKind.FILE)
    for name, profile in PROFILES.items():
        home.upstreams.create(
            name, _PRESETS[name], base_url=base_urls[name], secret=Secret(profile.credential), allow_private=True
        )
    for target, prices in _PRICES.items():
        upstream, _, model = target.partition("/")
        uncached, cached, output = (flat(parse_usd(price)) for price in prices)
        home.prices.set_own(
            upstream, model, Rates(input=uncached, cached_input=cached, output=output), home.clock.now()
        )
    for alias, targets in ROUTES.items():
        home.routes.set(alias, [Target(*target.split("/", 1)) for target in targets])
    policy = Policy(models=())
    secrets = {
        name: home.keys.create(name, project=project, create_missing=True, policy=policy).secret
        for name, project in _KEYS.items()
    }
    return DemoHome(secrets)
