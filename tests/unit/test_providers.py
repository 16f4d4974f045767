"""Presets: all that are promised, complete, and honest about what nobody has tried."""

from __future__ import annotations

import pytest

from keyvault.domain.addresses import check_base_url
from keyvault.domain.endpoints import Dialect
from keyvault.domain.providers import Preset, preset, presets
from keyvault.errors import NotFound

PROMISED = {
    "openai", "azure", "anthropic", "gemini", "mistral", "groq", "deepseek", "together", "fireworks", "openrouter",
    "xai", "ollama", "vllm", "llamacpp", "custom",
}  # fmt: skip


def test_every_promised_provider_has_a_preset() -> None:
    assert {p.name for p in presets()} == PROMISED


@pytest.mark.parametrize("chosen", presets(), ids=lambda p: p.name)
def test_a_preset_is_complete(chosen: Preset) -> None:
    assert chosen.dialects
    assert Dialect(chosen.test_call) in chosen.dialects
    assert chosen.auth_header == chosen.auth_header.lower()
    if chosen.base_url is None:
        assert chosen.base_url_form.startswith("https://")
    else:
        assert check_base_url(chosen.base_url, allow_private=chosen.private) == chosen.base_url


@pytest.mark.parametrize("chosen", presets(), ids=lambda p: p.name)
def test_a_catalogue_is_one_that_genai_prices_knows(chosen: Preset) -> None:
    from genai_prices.data import providers

    assert chosen.catalogue is None or chosen.catalogue in {provider.id for provider in providers}


def test_a_preset_claims_only_what_a_test_here_has_seen() -> None:
    seen = {"llamacpp"}  # by tests/real/test_llama.py
    assert {p.name for p in presets() if p.verified} == seen


def test_a_typo_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(NotFound) as caught:
        preset("opnai")
    assert caught.value.hint == "did you mean openai?"
    with pytest.raises(NotFound) as caught:
        preset("zzz")
    assert caught.value.hint == "gwctl upstreams presets"
