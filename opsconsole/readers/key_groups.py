"""Projects and customers as rows: their keys together, what was charged to them, their budgets and balances."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from keyvault.domain.keys import Customer, KeyState, Project
from keyvault.domain.scopes import ScopeKind
from keyvault.metering.tallies import Pair, Tally, Used
from opsconsole.readers.key_rows import Above, Place, Purse, plus, purses, usage
from opsconsole.view.keys.snapshot import Cap, GroupRow, KeyRow, Money


class Groups:
    """Made of the rows of all keys. What a request was charged to counts, not whose key it came with."""

    def __init__(
        self,
        rows: Mapping[int, KeyRow],
        tally: Tally,
        above: Above,
        money: Mapping[Purse, Money],
        caps: Mapping[Place, tuple[Cap, ...]],
    ) -> None:
        self._rows = rows
        self._tally = tally
        self._above = above
        self._money = money
        self._caps = caps

    def of_customers(self, customers: Iterable[Customer], projects: Iterable[Project]) -> Iterator[GroupRow]:
        owner = self._above.customers
        members, used = self._members(owner), self._used(owner)
        counts = defaultdict[int, int](int)
        for project in projects:
            counts[project.customer_id] += 1
        for customer in customers:
            mine = members[customer.id]
            places = ((ScopeKind.CUSTOMER, customer.id),)
            yield GroupRow(
                **self._common(customer.name, places, mine, used.get(customer.id)),
                of=ScopeKind.CUSTOMER,
                suspended=customer.suspended,
                multiplier_ppm=customer.multiplier_ppm,
                projects=counts[customer.id],
                tags=customer.tags,
            )

    def of_projects(self, projects: Iterable[Project], customers: Mapping[int, Customer]) -> Iterator[GroupRow]:
        own = {project_id: project_id for project_id in self._above.customers}
        members, used = self._members(own), self._used(own)
        for project in projects:
            places = ((ScopeKind.PROJECT, project.id), (ScopeKind.CUSTOMER, project.customer_id))
            yield GroupRow(
                **self._common(project.path, places, members[project.id], used.get(project.id)),
                of=ScopeKind.PROJECT,
                suspended=project.suspended,
                refused_with="customer" if customers[project.customer_id].suspended else "",
                tags=project.tags,
            )

    def _common(
        self, name: str, places: tuple[Place, ...], members: Sequence[KeyRow], used: tuple[Used | None, Used] | None
    ) -> dict[str, Any]:
        today, month = used or (None, None)
        return {
            "name": name,
            "used": usage(today, month, _hours(members)),
            "caps": tuple(cap for place in places for cap in self._caps.get(place, ())),
            "limits": tuple(limit for place in places for limit in self._above.limits.get(place, ())),
            "balances": (*purses(places, self._money, "live"), *purses(places, self._money, "test")),
            "keys": len(members),
            "usable": sum(row.state is KeyState.ACTIVE and row.key.suspended_by is None for row in members),
            "last_used_at": max((at for row in members if (at := row.last_used_at) is not None), default=None),
        }

    def _members(self, owner: Mapping[int, int]) -> Mapping[int, list[KeyRow]]:
        """Keys by the owner of their project."""
        members = defaultdict[int, list[KeyRow]](list)
        for row in self._rows.values():
            if row.state is not KeyState.DELETED:
                members[owner.get(row.key.project_id, 0)].append(row)
        return members

    def _used(self, owner: Mapping[int, int]) -> Mapping[int, tuple[Used | None, Used]]:
        today, month = _summed(self._tally.today, owner), _summed(self._tally.month, owner)
        return {number: (today.get(number), used) for number, used in month.items()}


def _summed(pairs: Mapping[Pair, Used], owner: Mapping[int, int]) -> dict[int, Used]:
    """What was charged to each owner of a project."""
    found: dict[int, Used] = {}
    for pair, used in pairs.items():
        number = owner.get(pair.project_id, 0)
        known = found.get(number)
        found[number] = used if known is None else plus(known, used)
    return found


def _hours(members: Iterable[KeyRow]) -> tuple[int, ...]:
    """Of all these keys together, whoever was charged."""
    return tuple(map(sum, zip(*(row.used.hours for row in members if row.used.hours), strict=True)))
