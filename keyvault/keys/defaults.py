"""What a new key is given where nothing else is said: the settings of the table `[keys]`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from keyvault.domain.keys import Policy, PolicyChange
from keyvault.domain.names import parse_duration
from keyvault.errors import ConfigurationError, UsageError
from keyvault.settings import Settings


@dataclass(frozen=True, slots=True)
class Defaults:
    """Policy, environment and life of a new key."""

    policy: Policy
    env: str
    expires: timedelta | None
    grace: timedelta
    set_here: Mapping[str, str] = field(default_factory=dict)
    """Name → value of what somebody set; the rest is as the program has it."""

    def expires_at(self, now: datetime) -> datetime | None:
        return None if self.expires is None else now + self.expires


def defaults(settings: Settings) -> Defaults:
    """Raises `ConfigurationError` naming the setting that makes no sense."""
    policy = Policy(rotate_every_s=_seconds("keys.rotate_every", settings.key_rotate_every))
    changes = {
        "models": PolicyChange(models=settings.key_models),
        "endpoints": PolicyChange(endpoints=settings.key_endpoints),
        "addresses": PolicyChange(addresses=settings.key_addresses),
    }
    for name, change in changes.items():
        policy = _applied(f"keys.{name}", change, policy)
    values = {
        "models": ",".join(settings.key_models),
        "endpoints": ",".join(settings.key_endpoints),
        "addresses": ",".join(settings.key_addresses),
        "expires": settings.key_expires,
        "env": settings.key_env,
        "rotate_every": settings.key_rotate_every,
    }
    return Defaults(
        policy=policy,
        env=settings.key_env,
        expires=_span("keys.expires", settings.key_expires),
        grace=_span("keys.grace", settings.key_grace) or timedelta(),
        set_here={name: value for name, value in values.items() if value and _is_set(settings, name)},
    )


def _is_set(settings: Settings, name: str) -> bool:
    return settings.sources.get(f"keys.{name}", "default") != "default"


def _applied(name: str, change: PolicyChange, policy: Policy) -> Policy:
    try:
        return change.applied(policy)
    except UsageError as error:
        raise ConfigurationError(f"{name}: {error.message}", hint=error.hint) from None


def _seconds(name: str, text: str) -> int | None:
    span = _span(name, text)
    return None if span is None else int(span.total_seconds())


def _span(name: str, text: str) -> timedelta | None:
    if not text:
        return None
    try:
        return parse_duration(text)
    except UsageError as error:
        raise ConfigurationError(f"{name}: {error.message}", hint=error.hint) from None
