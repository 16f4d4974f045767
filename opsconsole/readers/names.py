"""The names that forms offer to choose from."""

from __future__ import annotations

from itertools import islice
from typing import Final

from keyvault.domain.routes import Revision
from opsconsole.readers.around import Surroundings
from opsconsole.view.staging.snapshot import Names

MOST_KEYS: Final = 200
"""More than these are typed."""


def names_of(revision: Revision, around: Surroundings) -> Names:
    """Aliases and targets of the routes, and the keys there are."""
    targets = {str(choice.target) for route in revision.routes for choice in route.choices}
    keys = (key.name for key in around.watch.read().values() if key.deleted_at is None)
    aliases = tuple(route.alias for route in revision.routes)
    return Names(aliases, tuple(sorted(targets)), tuple(sorted(islice(keys, MOST_KEYS))))
