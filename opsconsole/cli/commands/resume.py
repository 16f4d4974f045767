"""`gwctl resume SCOPE|all`: undoes `gwctl suspend`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from opsconsole.cli.effect import Effect, Wait
from opsconsole.cli.output import Details
from opsconsole.cli.scopes import ALL, Scope, ScopeText
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import single

if TYPE_CHECKING:
    from keyvault.home import Home


@single(
    "resume",
    changes=True,
    examples="""
    gwctl resume customer:acme
    gwctl resume all --wait
    """,
)
def app(session: Session, scope: ScopeText, wait: Wait = None) -> None:
    """Admit what was suspended again. This gives access, so unlike `suspend` it needs the vault.

    What was suspended by itself stays so: after `resume all`, a suspended customer is still refused.
    """
    effect, chosen = Effect.asked(wait), Scope.parse(scope)
    named = _START[chosen.kind](session.home, chosen.name)
    session.changed(f"resumed {named}")
    taken = effect.take(session, "upstreams" if chosen.kind == "upstream" else "keys")
    session.show(Details({"scope": named, "suspended": False, **taken.row}, key="scope", omit=frozenset(taken.row)))
    taken.check()


def _everybody(home: Home, _name: str) -> str:
    home.stops.resume_everybody()
    return ALL


_START: dict[str, Callable[[Home, str], str]] = {
    "customer": lambda home, name: f"customer:{home.customers.update(name, suspended=False).name}",
    "project": lambda home, name: f"project:{home.customers.update_project(name, suspended=False).path}",
    "key": lambda home, name: f"key:{home.keys.resume(name).name}",
    "upstream": lambda home, name: f"upstream:{home.upstreams.enable(name).name}",
    ALL: _everybody,
}
