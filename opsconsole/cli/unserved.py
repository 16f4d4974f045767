"""Finds what no request reaches, because nothing says which upstream serves it."""

from __future__ import annotations

from typing import Final

from keyvault.domain.names import fold
from keyvault.home import Home

ROUTE_REMEDY: Final = "gwctl routes set ALIAS UPSTREAM/MODEL"


def unserved(home: Home) -> str | None:
    """Why requests for any model are refused although there are upstreams; None where they are not."""
    upstreams, default = home.upstreams.list(), home.settings.default_upstream
    if not upstreams or home.routes.current().routes:
        return None
    if default and fold(default) not in {fold(upstream.name) for upstream in upstreams}:
        return f"no route is set and serve.default_upstream names no upstream ({default}): nothing is served"
    if len(upstreams) > 1 and not default:
        return "several upstreams, no route and no serve.default_upstream: nothing is served"
    return None


def as_it_is(home: Home) -> str | None:
    """The upstream that serves every model name as it is; None where routes say what serves, or nothing does."""
    if home.routes.current().routes:
        return None
    upstreams, default = home.upstreams.list(), home.settings.default_upstream
    names = [upstream.name for upstream in upstreams if not default or fold(upstream.name) == fold(default)]
    return names[0] if len(names) == 1 else None
