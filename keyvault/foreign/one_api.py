"""One API's channels and tokens, as its API answers or its tables are exported: JSON or CSV.

A channel becomes an upstream, the models it serves become routes. Tokens are stored in clear there, so each is taken
over as it is; a token's user becomes a customer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from keyvault.clock import rfc3339
from keyvault.domain.names import check_model, shown
from keyvault.domain.routes import Target
from keyvault.errors import ConfigurationError, UsageError
from keyvault.foreign.draft import Draft, DraftUpstream
from keyvault.foreign.files import number, table, texts
from keyvault.foreign.origins import provider_and_base, with_v1
from keyvault.keys.adoption import check_adoptable
from keyvault.secrets import Secret

PROVIDERS: Final = {
    1: "openai", 3: "azure", 8: "custom", 14: "anthropic", 20: "openrouter", 24: "gemini", 28: "mistral", 29: "groq",
    30: "ollama", 36: "deepseek", 39: "together", 45: "xai", 50: "custom",
}  # fmt: skip
"""Channel type → preset."""
BASES: Final = {
    4: "https://api.closeai-proxy.xyz", 5: "https://api.openai-sb.com", 6: "https://api.openaimax.com",
    7: "https://api.ohmygpt.com", 10: "https://api.aiproxy.io", 12: "https://api.api2gpt.com",
    13: "https://api.aigc2d.com", 25: "https://api.moonshot.cn", 26: "https://api.baichuan-ai.com",
    31: "https://api.lingyiwanwu.com", 32: "https://api.stepfun.com", 44: "https://api.siliconflow.cn",
}  # fmt: skip
"""Channel type → where an OpenAI-compatible API without a preset is."""
PROJECT: Final = "default"
_ENABLED: Final = 1
_DISABLED: Final = 2
_ENDED: Final = {3: "has expired", 4: "its quota is used up"}

Row = Mapping[str, Any]


def parts(tree: Any, file: str) -> tuple[list[Row], list[Row]]:
    """(channels, tokens) in an answer, a table or a document with both. Raises `ConfigurationError`."""
    if isinstance(tree, dict) and ("channels" in tree or "tokens" in tree):
        return _rows(tree.get("channels", [])), _rows(tree.get("tokens", []))
    rows = _rows(tree.get("data") if isinstance(tree, dict) else tree)
    if not rows:
        raise ConfigurationError(f"{file}: no channels and no tokens", hint="GET /api/channel/ or /api/token/ as JSON")
    channels = [row for row in rows if "type" in row]
    return channels, [row for row in rows if "type" not in row]


def read(channels: Sequence[Row], tokens: Sequence[Row], now: datetime, *, with_secrets: bool) -> Draft:
    draft = Draft()
    for row in sorted(
        channels, key=lambda row: (-(number(row.get("priority")) or 0), -(number(row.get("weight")) or 0))
    ):
        _channel(draft, row, with_secrets)
    for index, row in enumerate(tokens, start=1):
        _token(draft, index, row, now, with_secrets)
    return draft


def _rank(row: Row) -> tuple[int, int]:
    """Channels of the highest priority, then of the largest weight, come first."""
    return -(number(row.get("priority")) or 0), -(number(row.get("weight")) or 0)


def _channel(draft: Draft, row: Row, with_secrets: bool) -> None:
    what = f"channel {shown(str(row.get('name', row.get('id', ''))))}"
    kind = number(row.get("type")) or 0
    if kind not in PROVIDERS and kind not in BASES:
        draft.leave_out(what, f"there is no preset for type {kind}")
        return
    if number(row.get("status", _ENABLED)) != _ENABLED:
        draft.leave_out(what, "is disabled there")
        return
    try:
        provider, base = _origin(kind, row.get("base_url"))
    except ValueError:
        draft.leave_out(what, "its base_url is no URL")
        return
    name = draft.name("upstream", row.get("name"), provider)
    key = row.get("key")
    secret = Secret(key) if with_secrets and isinstance(key, str) and key else None
    why = "credentials were left out as asked" if not with_secrets else "the file has no credential for it"
    draft.upstreams.append(DraftUpstream(name, provider, base, secret, "" if secret else why))
    _routes(draft, name, row)


def _origin(kind: int, given: Any) -> tuple[str, str | None]:
    given = with_v1(given) if isinstance(given, str) else None
    if kind == 3 and given:
        given = given.removesuffix("/v1")
    return provider_and_base(PROVIDERS.get(kind, "custom"), given or with_v1(BASES.get(kind)))


def _routes(draft: Draft, upstream: str, row: Row) -> None:
    """Channels of the highest priority share a model's traffic; weights of 0 mean there that all are alike."""
    mapping = table(row.get("model_mapping"))
    rank, weight = _rank(row)[0], max(1, number(row.get("weight")) or 0)
    for alias in texts(row.get("models")):
        model = mapping.get(alias, alias)
        try:
            draft.add_route(check_model(alias), Target(upstream, check_model(str(model))), rank=rank, weight=weight)
        except UsageError as error:
            draft.leave_out(f"model {shown(alias)} of {upstream}", error.message)


def _token(draft: Draft, index: int, row: Row, now: datetime, with_secrets: bool) -> None:
    name = draft.name("key", row.get("name"), f"one-api-{index}")
    what, status = f"key {name}", number(row.get("status", _ENABLED))
    expires = number(row.get("expired_time"))
    if status in _ENDED or (expires is not None and 0 <= expires <= now.timestamp()):
        draft.leave_out(what, _ENDED.get(status or 0, "has expired"))
        return
    token = _adopted(draft, what, row) if with_secrets else None
    if with_secrets and token is None:
        return
    user = number(row.get("user_id"))
    values = {
        "project": f"user-{user}/{PROJECT}" if user is not None else f"default/{PROJECT}",
        "models": texts(row.get("models")),
        "addresses": texts(row.get("subnet")),
        "expires": "never" if expires is None or expires < 0 else _date(expires),
        "state": "suspended" if status == _DISABLED else "active",
    }
    draft.add_key(name, values, token)
    if row.get("remain_quota") not in (None, "", 0, "0"):
        draft.leave_out(f"{what}: remain_quota", "quotas are not carried over")


def _adopted(draft: Draft, what: str, row: Row) -> Secret | None:
    """The token as clients send it: with `sk-` before what is stored."""
    key = row.get("key")
    token = Secret(key if isinstance(key, str) and key.startswith("sk-") else f"sk-{key or ''}")
    try:
        check_adoptable(token)
    except UsageError as error:
        draft.leave_out(what, error.message)
        return None
    return token


def _date(seconds: int) -> str:
    """What is too far away for a calendar reads as no date, and the key is left out for it."""
    try:
        return rfc3339(datetime.fromtimestamp(seconds, UTC)) or ""
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def _rows(value: Any) -> list[Row]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []
