"""Routes and their revisions: every change is a new numbered snapshot, recorded with who made it.

The snapshot, its audit entry and the epoch that running proxies watch are one transaction. Revisions are never
changed or removed, so an older one can always be looked at, and rolling back makes a new one with its content. A
change that would leave all routes as they are makes no revision. A rollout of a route that is changed ends with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from keyvault import audit
from keyvault.clock import Clock, to_ms
from keyvault.domain.differences import Change
from keyvault.domain.names import fold, not_found, shown
from keyvault.domain.routes import Choice, Revision, Route, Target, check_alias, clashing, parse_target
from keyvault.errors import Conflict, NotFound, UsageError
from keyvault.routing import described, document
from keyvault.routing.ending import superseded
from keyvault.storage import epochs, upstreams
from keyvault.storage import routes as rows
from keyvault.storage.engine import Database, Transaction

ALL: Final = "routes"
"""The scope of a change of many routes at once."""
MOST_TOLD: Final = 30


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a change came to, or would come to."""

    revision: Revision
    """The one that holds then."""
    changes: tuple[Change, ...]
    """What it changes of the one before; empty: there is no new revision."""


class Routes:
    """The service behind `gwctl routes`. Aliases are compared exactly, as clients send them."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def current(self) -> Revision:
        """What holds now; revision 0, without routes, before the first change."""
        with self._database.read() as tx:
            return rows.current(tx)

    def revision(self, number: int) -> Revision:
        """Raises `NotFound`. Revision 0 is the state before the first change."""
        with self._database.read() as tx:
            return _revision(tx, number)

    def at(self, moment: datetime) -> Revision:
        """What held at a moment; revision 0, without routes, before the first change."""
        with self._database.read() as tx:
            return rows.at(tx, to_ms(moment))

    def history(self, limit: int = 20) -> Sequence[Revision]:
        """The newest revisions, newest first."""
        with self._database.read() as tx:
            return rows.newest(tx, limit)

    def diff(self, one: int, other: int) -> tuple[Change, ...]:
        """What makes one revision of another. Raises `NotFound`."""
        with self._database.read() as tx:
            return described.changes(_revision(tx, one).routes, _revision(tx, other).routes)

    def plan(self, text: str, file: str) -> Outcome:
        """What applying a file would change. Raises `ConfigurationError` with the line of what is wrong."""
        with self._database.read() as tx:
            current = rows.current(tx)
            return Outcome(current, described.changes(current.routes, document.read(text, file, _names(tx))))

    def apply(self, text: str, file: str) -> Outcome:
        """Make the routes what a file says: all of them, so that a route it does not name ends.

        Raises `ConfigurationError` with the line of what is wrong; nothing has changed then.
        """
        with self._database.change() as tx:
            routes = document.read(text, file, _names(tx))
            return self._change(tx, rows.current(tx), routes, "routes.apply", ALL)

    def rollback(self, number: int | None = None, *, only_from: int | None = None) -> Outcome:
        """Make the routes what they were in a revision, by default in the one before. Raises `NotFound`.

        Raises `UsageError` where an upstream of that revision is gone, and `Conflict` where another revision than
        `only_from` holds, so that nobody else's change is undone.
        """
        with self._database.change() as tx:
            current = rows.current(tx)
            if only_from not in (None, current.number):
                raise Conflict(f"revision {current.number} holds, not {only_from}", hint="gwctl routes history")
            wanted = _revision(tx, _before(current) if number is None else number)
            rows.rely_on(tx, wanted)
            _check_upstreams(tx, wanted)
            return self._change(tx, current, wanted.routes, "routes.rollback", ALL, to=wanted.number)

    def set(self, alias: str, targets: Sequence[Target]) -> Revision:
        """Have `alias` served by `targets`, the first before the others; what else its route says stays.

        Raises `NotFound` for an unknown upstream.
        """
        plain = Route.of(alias, targets) if targets else Route(alias, ())
        with self._database.change() as tx:
            was = next((route for route in rows.current(tx).routes if route.alias == alias), plain)
            return self.put_in(tx, replace(was, primary=plain.primary, fallbacks=plain.fallbacks))

    def put(self, route: Route) -> Revision:
        """Have a whole route in the place of whatever serves its alias. Raises `NotFound` for an unknown upstream."""
        with self._database.change() as tx:
            return self.put_in(tx, route)

    def delete(self, alias: str) -> Revision:
        """Serve `alias` no more. Raises `NotFound`, with the nearest alias as a hint."""
        with self._database.change() as tx:
            current = rows.current(tx)
            others = [r for r in current.routes if r.alias != alias]
            if len(others) == len(current.routes):
                raise not_found("route", alias, [r.alias for r in others], otherwise="gwctl routes list")
            return self._change(tx, current, others, "routes.delete", f"route:{alias}").revision

    def put_in(self, tx: Transaction, route: Route) -> Revision:
        """The same in a transaction of a change that the caller has begun."""
        check_alias(route.alias)
        if not route.primary:
            raise UsageError(
                f"route {route.alias} needs a target", hint=f"gwctl routes set {route.alias} UPSTREAM/MODEL"
            )
        current = rows.current(tx)
        known = _known(tx, route)
        others = [other for other in current.routes if other.alias != route.alias]
        if (clash := clashing([*(other.alias for other in others), route.alias])) is not None:
            raise UsageError(f"{shown(clash[1])} is as specific as {shown(clash[0])}, and some names match both")
        targets = ", ".join(map(str, known.targets))
        return self._change(
            tx, current, [*others, known], "routes.set", f"route:{route.alias}", targets=targets
        ).revision

    def _change(
        self, tx: Transaction, current: Revision, routes: Iterable[Route], action: str, scope: str, **detail: object
    ) -> Outcome:
        """The revision with these routes: a new one, unless they are what holds."""
        ordered = tuple(sorted(routes, key=lambda route: route.alias))
        changes = described.changes(current.routes, ordered)
        if not changes:
            return Outcome(current, ())
        if current.number:
            rows.rely_on(tx, current)
        revision = Revision(current.number + 1, self._clock.now(), audit.actor(), ordered)
        rows.insert(tx, revision, to_ms(revision.created_at))
        if scope == ALL:
            detail["changes"] = _told(changes)
        audit.record(tx, self._clock, action, scope, revision=revision.number, **detail)
        superseded(tx, self._clock, {change.scope for change in changes}, revision.number)
        epochs.bump(tx, "routes")
        return Outcome(revision, changes)


def _told(changes: Sequence[Change]) -> str:
    """`+fast ~smart -old`, not too long for a log."""
    words = [f"{change.sign}{change.scope.removeprefix('route:')}" for change in changes[:MOST_TOLD]]
    return " ".join(words) + (f" and {len(changes) - MOST_TOLD} more" if len(changes) > MOST_TOLD else "")


def _before(current: Revision) -> int:
    if not current.number:
        raise NotFound("no revision to go back to: the routes were never changed", hint="gwctl routes history")
    return current.number - 1


def _revision(tx: Transaction, number: int) -> Revision:
    found = rows.NO_ROUTES if number == 0 else rows.numbered(tx, number)
    if found is None:
        raise NotFound(f"no such revision: {number}", hint="gwctl routes history")
    return found


def _names(tx: Transaction) -> list[str]:
    return [upstream.name for upstream in upstreams.all_upstreams(tx)]


def _check_upstreams(tx: Transaction, revision: Revision) -> None:
    """Raises `UsageError` where a target's upstream was deleted since."""
    there = {fold(name) for name in _names(tx)}
    for route in revision.routes:
        for target in route.targets:
            if fold(target.upstream) not in there:
                raise UsageError(
                    f"revision {revision.number} needs the upstream {target.upstream}, which is gone",
                    hint=f"gwctl routes show --revision {revision.number} -o toml",
                )


def _known(tx: Transaction, route: Route) -> Route:
    """The route with its upstreams spelled as they were created; each target at most once."""
    spelled = {fold(name): name for name in _names(tx)}
    seen: set[Target] = set()

    def known(choice: Choice) -> Choice:
        upstream = choice.target.upstream
        if fold(upstream) not in spelled:
            raise not_found("upstream", upstream, spelled.values(), otherwise="gwctl upstreams list")
        target = parse_target(f"{spelled[fold(upstream)]}/{choice.target.model}", as_named=True)
        if target in seen:
            raise UsageError("a route names each target once")
        seen.add(target)
        return replace(choice, target=target)

    return replace(route, primary=tuple(map(known, route.primary)), fallbacks=tuple(map(known, route.fallbacks)))
