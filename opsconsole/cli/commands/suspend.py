"""`gwctl suspend SCOPE|all`: the way to stop somebody, or everybody, at once and reversibly."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from keyvault.errors import UsageError
from opsconsole.cli.effect import Cut, Effect, Wait
from opsconsole.cli.output import Details
from opsconsole.cli.scopes import ALL, Scope, ScopeText
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import single

if TYPE_CHECKING:
    from keyvault.home import Home


@single(
    "suspend",
    changes=True,
    examples="""
    gwctl suspend customer:acme
    gwctl suspend key:ci-bot --wait --cut
    gwctl suspend upstream:openai
    gwctl suspend all --yes
    """,
)
def app(session: Session, scope: ScopeText, wait: Wait = None, cut: Cut = False) -> None:
    """Refuse a customer, a project, a key or everybody, or take an upstream out of service, until resumed.

    Works while the vault is locked. With `all`, known callers get 503 and when to try again; unknown ones get 401.
    """
    effect, chosen = Effect.asked(wait, cut), Scope.parse(scope)
    if cut and chosen.kind == "upstream":
        raise UsageError("--cut ends the calls of keys; an upstream has none of its own", hint="leave --cut out")
    if chosen.kind == ALL:
        session.confirm("suspend everybody? every request is refused until: gwctl resume all")
    named = _STOP[chosen.kind](session.home, chosen.name)
    session.changed(f"suspended {named}; to undo it: gwctl resume {named}")
    keys = _keys(session.home, chosen) if cut else ()
    taken = effect.take(session, "upstreams" if chosen.kind == "upstream" else "keys", keys)
    session.show(Details({"scope": named, "suspended": True, **taken.row}, key="scope", omit=frozenset(taken.row)))
    taken.check()


def _everybody(home: Home, _name: str) -> str:
    home.stops.suspend_everybody()
    return ALL


_STOP: dict[str, Callable[[Home, str], str]] = {
    "customer": lambda home, name: f"customer:{home.customers.update(name, suspended=True).name}",
    "project": lambda home, name: f"project:{home.customers.update_project(name, suspended=True).path}",
    "key": lambda home, name: f"key:{home.keys.suspend(name).name}",
    "upstream": lambda home, name: f"upstream:{home.upstreams.disable(name).name}",
    ALL: _everybody,
}


def _keys(home: Home, scope: Scope) -> list[int] | None:
    """The keys whose calls are cut, by id; None: everybody's."""
    if scope.kind == ALL:
        return None
    if scope.kind == "key":
        return [home.keys.get(scope.name).id]
    found = home.keys.list(customer=scope.name) if scope.kind == "customer" else home.keys.list(project=scope.name)
    return [key.id for key in found]
