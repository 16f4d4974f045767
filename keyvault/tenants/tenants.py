"""Makes customers, projects and keys what a file says: all of it in one transaction, or nothing.

A second time nothing is left to do. Secrets are never read from a file nor printed: a new key's secret goes to where
the caller delivers it, before the transaction is over, so that no key is made whose secret nobody has.
"""

from __future__ import annotations

from collections.abc import Mapping

from keyvault.clock import Clock
from keyvault.errors import Conflict, UsageError
from keyvault.keys.adoption import check_adoptable
from keyvault.keys.defaults import Defaults
from keyvault.keys.minting import MintingVault, all_peppers
from keyvault.secrets import Secret
from keyvault.storage import customers, keys
from keyvault.storage.engine import Database
from keyvault.tenants import described, document
from keyvault.tenants.changes import NOTHING_ADOPTED, Changes, Deliver
from keyvault.tenants.described import Description
from keyvault.tenants.planning import Planner
from keyvault.tenants.steps import Plan
from keyvault.tenants.wanted import Wanted


class Tenants:
    """The service behind `gwctl apply`, `keys export` and `keys import`."""

    def __init__(self, database: Database, vault: MintingVault, clock: Clock, usual: Defaults) -> None:
        """`usual`: what new keys are given where the file says nothing."""
        self._database = database
        self._vault = vault
        self._clock = clock
        self._usual = usual

    def plan(self, wanted: Wanted, *, prune: bool = False, adopted: Mapping[str, Secret] = NOTHING_ADOPTED) -> Plan:
        """What would have to change. Raises `ConfigurationError`, `Conflict` or `NotFound` for what cannot."""
        changes = Changes(self._clock, adopted=adopted)
        with self._database.read() as tx:
            return Planner(tx, changes, self._usual, self._clock.now()).plan(wanted, prune=prune)

    def apply(
        self,
        wanted: Wanted,
        *,
        prune: bool = False,
        deliver: Deliver | None = None,
        adopted: Mapping[str, Secret] = NOTHING_ADOPTED,
        agreed: Plan | None = None,
    ) -> Plan:
        """Change what differs and tell what it was. `agreed`: the plan that somebody said yes to.

        Raises `UsageError` where new secrets have no place to go, `Conflict` where more would change than was agreed.
        """
        for secret in adopted.values():
            check_adoptable(secret)
        agreed = agreed or self.plan(wanted, prune=prune, adopted=adopted)
        if not agreed.steps:
            return agreed
        changes = Changes(self._clock, all_peppers(self._vault), deliver, adopted)
        with self._database.change() as tx:
            plan = Planner(tx, changes, self._usual, self._clock.now()).plan(wanted, prune=prune)
            if not plan.same_as(agreed):
                raise Conflict("something else was changed meanwhile; nothing was changed here", hint="run it again")
            if plan.new_secrets and deliver is None:
                raise no_place(plan)
            for step in plan.steps:
                step.do(tx)
        return plan

    def current(self) -> str:
        """A file that wants what is: `document.read` of it leaves nothing to do."""
        with self._database.read() as tx:
            return document.write(customers.list_customers(tx), customers.list_projects(tx), keys.list_keys(tx))

    def exported(self) -> list[Description]:
        """Every live key by name, without its secret."""
        with self._database.read() as tx:
            return [{"name": key.name, **described.key(key)} for key in keys.list_keys(tx) if described.is_live(key)]


def no_place(plan: Plan) -> UsageError:
    """The error for new keys whose secrets nobody would receive."""
    count = plan.new_secrets
    what = "1 new key needs" if count == 1 else f"{count} new keys need"
    first = next(step.scope.partition(":")[2] for step in plan.steps if step.needs_secret)
    return UsageError(
        f"{what} a place for the secret; nothing was changed", hint=f"--out-dir DIR, or gwctl keys create {first}"
    )
