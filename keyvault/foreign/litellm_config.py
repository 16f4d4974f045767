"""A LiteLLM proxy's `config.yaml`: deployments become upstreams and routes.

Several deployments of one model name share its traffic by weight, those of the lowest `order` first; the router's
fallbacks follow them. A credential that is a reference (`os.environ/…`) is neither looked up nor shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from keyvault.domain.names import check_model, shown
from keyvault.domain.routes import Target
from keyvault.errors import ConfigurationError, UsageError
from keyvault.foreign.draft import Draft, DraftUpstream
from keyvault.foreign.origins import provider_and_base
from keyvault.secrets import Secret

PROVIDERS: Final = {
    "openai": "openai", "text-completion-openai": "openai", "custom_openai": "openai", "azure": "azure",
    "anthropic": "anthropic", "gemini": "gemini", "mistral": "mistral", "groq": "groq", "deepseek": "deepseek",
    "together_ai": "together", "fireworks_ai": "fireworks", "openrouter": "openrouter", "xai": "xai",
    "ollama": "ollama", "ollama_chat": "ollama", "hosted_vllm": "vllm", "vllm": "vllm",
}  # fmt: skip
"""The word before a model's slash → preset."""
_OPENAI_NAMES: Final = ("gpt-", "o1", "o3", "o4", "chatgpt-", "text-embedding-", "dall-e", "whisper", "tts-")
_USED: Final = frozenset(
    {"model", "api_base", "base_url", "api_key", "api_version", "custom_llm_provider", "weight", "order"}
)
_FALLBACK: Final = 1_000_000
"""Added to the rank of a target that the router falls back to."""
_REFERENCE: Final = "os.environ/"
_WHY: Final = {
    "master_key": "keys here are made with gwctl keys create",
    "database_url": "this gateway has its own database",
    "rpm": "rate limits are not carried over",
    "tpm": "rate limits are not carried over",
    "environment_variables": "may hold secrets; it was not read",
    "default_fallbacks": "a route names its own fallbacks",
    "context_window_fallbacks": "fallbacks follow failures, not sizes",
    "content_policy_fallbacks": "fallbacks follow failures, not refusals",
}


def read(tree: Any, file: str, *, with_secrets: bool) -> Draft:
    """Raises `ConfigurationError` where this is no such file."""
    if not isinstance(tree, dict) or not isinstance(tree.get("model_list"), list):
        raise ConfigurationError(f"{file}: no model_list", hint="give the config.yaml of the LiteLLM proxy")
    reader = _Reader(with_secrets)
    for number, entry in enumerate(tree["model_list"]):
        reader.deployment(f"model_list[{number}]", entry)
    router, library = _table(tree.get("router_settings")), _table(tree.get("litellm_settings"))
    reader.aliases(router.get("model_group_alias"))
    reader.fallbacks([*_list(router.get("fallbacks")), *_list(library.get("fallbacks"))])
    reader.others(tree)
    return reader.draft


class _Reader:
    def __init__(self, with_secrets: bool) -> None:
        self.draft = Draft()
        self._with_secrets = with_secrets
        self._known: dict[tuple[str, str | None, str], str] = {}
        self._ignored: dict[str, int] = {}

    def deployment(self, where: str, entry: Any) -> None:
        params = _table(_table(entry).get("litellm_params"))
        alias, model = _table(entry).get("model_name"), params.get("model")
        if not isinstance(alias, str) or not isinstance(model, str):
            self.draft.leave_out(where, "has no model_name and model")
            return
        what = f"model {shown(alias)}"
        if "*" in alias or "*" in model:
            self.draft.leave_out(
                what, "patterns of model names are not carried over; gwctl routes set '*' 'UPSTREAM/*'"
            )
            return
        provider, name = _provider(params, model)
        if provider is None:
            self.draft.leave_out(what, f"there is no preset for {shown(model)}")
            return
        try:
            target = Target(self._upstream(provider, params), check_model(name))
            rank, weight = int(_number(params.get("order"), 0)), _number(params.get("weight"), 1)
            self.draft.add_route(check_model(alias), target, rank=rank, weight=weight)
        except (UsageError, ValueError) as error:
            self.draft.leave_out(what, error.message if isinstance(error, UsageError) else "its api_base is no URL")
            return
        for ignored in params.keys() - _USED:
            self._ignored[str(ignored)] = self._ignored.get(str(ignored), 0) + 1

    def aliases(self, given: Any) -> None:
        for alias, meant in _table(given).items():
            model = meant.get("model") if isinstance(meant, dict) else meant
            targets = self.draft.routes.get(model) if isinstance(model, str) else None
            try:
                for each in targets or ():
                    self.draft.add_route(check_model(str(alias)), each.target, rank=each.rank, weight=each.weight)
            except UsageError as error:
                self.draft.leave_out(f"alias {shown(str(alias))}", error.message)
            if not targets:
                self.draft.leave_out(f"alias {shown(str(alias))}", "what it stands for was not carried over")

    def fallbacks(self, given: list[Any]) -> None:
        before = {alias: list(targets) for alias, targets in self.draft.routes.items()}
        for alias, others in (pair for entry in given for pair in _table(entry).items()):
            for number, other in enumerate(_list(others), start=1):
                if alias in before and isinstance(other, str) and other in before:
                    for each in before[other]:
                        self.draft.add_route(alias, each.target, rank=number * _FALLBACK + each.rank)
                else:
                    what = f"fallback {shown(str(alias))} → {shown(str(other))}"
                    self.draft.leave_out(what, "one of the two was not carried over")

    def others(self, tree: Mapping[Any, Any]) -> None:
        for name, count in sorted(self._ignored.items()):
            self.draft.leave_out(f"litellm_params {shown(name)} ({count}×)", _WHY.get(name, "no equivalent here"))
        for what, name in _settings(tree):
            self.draft.leave_out(what, _WHY.get(name, "no equivalent here"))

    def _upstream(self, provider: str, params: Mapping[str, Any]) -> str:
        """The name of the account's upstream, made when first met."""
        given = params.get("api_base") or params.get("base_url")
        given = given if isinstance(given, str) else None
        if given and given.startswith(_REFERENCE):
            raise UsageError("its api_base is a reference, which is not looked up")
        chosen, base = provider_and_base(provider, given)
        key = params.get("api_key")
        key = key if isinstance(key, str) else ""
        identity = (chosen, base, key)
        if identity not in self._known:
            self._known[identity] = name = self.draft.name("upstream", provider, provider)
            secret, why = self._secret(key)
            self.draft.upstreams.append(DraftUpstream(name, chosen, base, secret, why))
        return self._known[identity]

    def _secret(self, key: str) -> tuple[Secret | None, str]:
        if not key:
            return None, "the file has no credential for it"
        if key.startswith(_REFERENCE):
            return None, "its credential is a reference, which is not looked up"
        return (Secret(key), "") if self._with_secrets else (None, "credentials were left out as asked")


def _provider(params: Mapping[str, Any], model: str) -> tuple[str | None, str]:
    """(preset, model as the provider knows it)."""
    prefix, slash, rest = model.partition("/")
    stated = params.get("custom_llm_provider")
    if isinstance(stated, str):
        return PROVIDERS.get(stated), rest if slash and prefix == stated else model
    if slash:
        return PROVIDERS.get(prefix), rest
    if model.startswith("claude"):
        return "anthropic", model
    return ("openai" if model.startswith(_OPENAI_NAMES) else None), model


def _settings(tree: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    """(what, name) of every setting that nothing here was made of."""
    for section, values in tree.items():
        if section == "model_list":
            continue
        if not isinstance(values, dict) or section == "environment_variables":
            yield shown(str(section)), str(section)
            continue
        for name in values:
            if name not in ("fallbacks", "model_group_alias"):
                yield f"{shown(str(section))[1:-1]}.{shown(str(name))[1:-1]}", str(name)


def _table(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any, otherwise: float) -> float:
    """A number from 0 to a million."""
    right = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _FALLBACK
    return value if right else otherwise


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
