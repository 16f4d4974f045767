"""Routes and their revisions: every change is a new numbered snapshot, recorded with who made it.

The snapshot, its audit entry and the epoch that running proxies watch are one transaction. Revisions are never
changed or removed, so an older one can always be looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from keyvault import audit
from keyvault.clock import Clock, to_ms
from keyvault.domain.names import check_model, fold, not_found
from keyvault.domain.routes import Revision, Route, Target
from keyvault.errors import UsageError
from keyvault.storage import epochs, upstreams
from keyvault.storage import routes as rows
from keyvault.storage.engine import Database, Transaction


class Routes:
    """The service behind `gwctl routes`. Aliases are compared exactly, as clients send them."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def current(self) -> Revision:
        """What holds now; revision 0, without routes, before the first change."""
        with self._database.read() as tx:
            return rows.current(tx)

    def history(self, limit: int = 20) -> Sequence[Revision]:
        """The newest revisions, newest first."""
        with self._database.read() as tx:
            return rows.newest(tx, limit)

    def set(self, alias: str, targets: Sequence[Target]) -> Revision:
        """Have `alias` served by `targets`, the first before the others. Setting what holds already changes nothing.

        Raises `NotFound` for an unknown upstream.
        """
        check_model(alias)
        if not targets:
            raise UsageError(f"route {alias} needs a target", hint=f"gwctl routes set {alias} UPSTREAM/MODEL")
        with self._database.change() as tx:
            current = rows.current(tx)
            route = Route.of(alias, _known(tx, targets))
            if route in current.routes:
                return current
            others = [r for r in current.routes if r.alias != alias]
            detail = ", ".join(str(target) for target in route.targets)
            return self._apply(tx, current, [*others, route], "routes.set", alias, detail)

    def delete(self, alias: str) -> Revision:
        """Serve `alias` no more. Raises `NotFound`, with the nearest alias as a hint."""
        with self._database.change() as tx:
            current = rows.current(tx)
            others = [r for r in current.routes if r.alias != alias]
            if len(others) == len(current.routes):
                raise not_found("route", alias, [r.alias for r in others], otherwise="gwctl routes list")
            return self._apply(tx, current, others, "routes.delete", alias, "")

    def _apply(
        self, tx: Transaction, current: Revision, routes: Iterable[Route], action: str, alias: str, targets: str
    ) -> Revision:
        ordered = tuple(sorted(routes, key=lambda route: route.alias))
        revision = Revision(current.number + 1, self._clock.now(), audit.actor(), ordered)
        rows.insert(tx, revision, to_ms(revision.created_at))
        audit.record(tx, self._clock, action, f"route:{alias}", revision=revision.number, targets=targets)
        epochs.bump(tx, "routes")
        return revision


def _known(tx: Transaction, targets: Iterable[Target]) -> tuple[Target, ...]:
    """The targets with their upstreams spelled as they were created; each at most once."""
    spelled = {fold(upstream.name): upstream.name for upstream in upstreams.all_upstreams(tx)}
    known: list[Target] = []
    for target in targets:
        if fold(target.upstream) not in spelled:
            raise not_found("upstream", target.upstream, spelled.values(), otherwise="gwctl upstreams list")
        known.append(Target(spelled[fold(target.upstream)], check_model(target.model)))
    if len(set(known)) < len(known):
        raise UsageError("a route names each target once")
    return tuple(known)
