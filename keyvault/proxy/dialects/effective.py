"""The body of a request as one target gets it: what the route sets for that target, over or under what the client said.

What decides the cost (`output_cap`, `choices`, `added_bytes`) must be read of the effective body, of each target of a
plan: a route may give a cap to a request that has none, or raise the client's own. The rules:

- a default counts where the client gave the field no value, or null; an override always; None takes the field out;
- `max_tokens`, `max_completion_tokens` and `max_output_tokens` are one thing, which goes under the name that the
  endpoint knows: a default for it counts only where the client gave none, an override takes the client's out;
- JSON bodies of known paths only: a form (an upload of audio or images) and a body of an unknown path go as they are.
"""

from __future__ import annotations

from keyvault.domain.routes import Choice
from keyvault.proxy.dialects.bodies import Body


def effective(body: Body, choice: Choice | None) -> Body:
    """The body for a target; the same object where the route says nothing of it. `choice`: None without a route."""
    if choice is None or not (choice.defaults or choice.overrides):
        return body
    return body.with_parameters(choice.defaults, choice.overrides)
