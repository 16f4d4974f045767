"""Which preset and base URL an account of another gateway has here."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from keyvault.domain.providers import preset

_BARE: Final = frozenset({"", "/"})
_ADDS_V1: Final = frozenset({"anthropic", "ollama", "vllm", "llamacpp"})


def provider_and_base(provider: str, given: str | None) -> tuple[str, str | None]:
    """The preset's name, and the base URL where it is not the preset's own."""
    if not given:
        return provider, None
    url = given.rstrip("/")
    if provider == "azure":
        return provider, _azure(url)
    if provider == "anthropic":
        url = url.removesuffix("/messages")
    if provider in _ADDS_V1 and urlsplit(url).path in _BARE:
        url += "/v1"
    if url == preset(provider).base_url:
        return provider, None
    if provider == "openai" and urlsplit(url).hostname != "api.openai.com":
        return "custom", url
    return provider, url


def with_v1(url: str | None) -> str | None:
    """For gateways that add `/v1` themselves."""
    if not url:
        return None
    url = url.rstrip("/")
    return url if url.endswith("/v1") else f"{url}/v1"


def _azure(url: str) -> str:
    """Azure's v1 API, of the same resource; its models are deployments."""
    if url.endswith("/v1"):
        return url
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/openai/v1"
