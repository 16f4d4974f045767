"""The file that `gwctl routes init` writes: the routes that run, below everything a route can say.

Lines that begin with `#` and no space are examples: without the `#` they are part of a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keyvault.domain.routes import Route
from keyvault.domain.vault import Upstream
from keyvault.routing.described import write

_INTRODUCTION: Final = """\
# Routes: which targets serve which model name. Keep this file in git.
#
#     gwctl routes plan -f routes.toml      what would change
#     gwctl routes apply -f routes.toml     make it so: one new revision, seen by the next request
#     gwctl routes rollback                 back to the revision before
#
# The file says all routes: one that is not in it ends when it is applied.
# Lines that begin with # and no space are examples. All of them may be left out; what is said below is the default.

# The plainest route: one target, written UPSTREAM/MODEL.
#[routes.fast]
#targets = ["openai/gpt-5-mini"]

# Several targets share the traffic by weight; when one fails before its first content, the others are tried, then the
# fallbacks in their order. A weight of 0 serves only what is pinned to the target or began there.
#[routes.smart]
#targets = [{ target = "openai/gpt-5", weight = 9 }, { target = "anthropic/claude-sonnet-5", weight = 1 }]
#fallbacks = ["groq/llama-3.3-70b"]

# A name may be a pattern: * is any letters, ? is one. The exact name comes first, then the most specific pattern; * is
# the default route. A target's model may be *, the name that was asked for.
#[routes."gpt-*"]
#targets = ["openai/*"]

#[routes.careful]
# What a target is sent, field by field. `defaults` count where the client said nothing, `overrides` always, `remove`
# takes fields out. Forms (uploads) are sent as they are.
#targets = [
#{ target = "openai/gpt-5", defaults = { max_tokens = 2000 }, overrides = { store = false }, remove = ["user"] },
#]
# Seconds, or texts such as "250ms", "30s", "2m". Defaults are the gateway's settings (gwctl help settings).
#timeouts = { connect = "10s", first_content = "5m", idle = "2m", total = "30m" }
# Conversations go back to the target that holds their state.
#affinity = true
# Which failures lead to another try, how often on the same target, the first wait there (doubled each time, with
# jitter), and the longest wait, also of what a provider asks for in Retry-After.
#[routes.careful.retries]
#on = ["connect", "timeout", "broken", "overloaded", "server", "refused"]
#same_target = 0
#backoff = "250ms"
#longest_wait = "5s"
"""
_NO_ROUTES: Final = """
# No routes run yet: one upstream serves every model as it is. To say the same as a route:
"""


def example(routes: Sequence[Route], upstreams: Sequence[Upstream]) -> str:
    """A file that applies to what runs, with an example of everything. The home's own upstreams are named."""
    if routes:
        return f"{_INTRODUCTION}\n# What runs now:\n\n{write(routes)}"
    first = upstreams[0].name if upstreams else "UPSTREAM"
    return f'{_INTRODUCTION}{_NO_ROUTES}#[routes."*"]\n#targets = ["{first}/*"]\n\n[routes]\n'
