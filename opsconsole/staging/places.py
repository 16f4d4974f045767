"""The gateway of this home as a place to ask, with a key that lives as long as the asking."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from keyvault.domain.keys import DEFAULT_PROJECT, Key, Policy
from keyvault.errors import Unavailable
from keyvault.keys.temporary import LONGEST, temporary_name
from opsconsole.staging.asking.place import Place

if TYPE_CHECKING:
    from keyvault.home import Home
    from keyvault.keys.lifecycle import KeyRule
    from keyvault.secrets import Secret

EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - nothing is bound here
"""Where a worker that listens on every address is reached on its own machine."""
ANYTHING: Final = Policy(expose=True, pin=True)
"""Every model, at the endpoints that keep no state; told which target served, and free to choose it."""
APPLIED_WITHIN: Final = timedelta(seconds=5)


def own_gateway(home: Home) -> str:
    """The origin of a live worker, of this machine where there is one. Raises `Unavailable`."""
    found = sorted(home.workers.live(), key=lambda worker: worker.host != socket.gethostname())
    if not found:
        raise Unavailable("no worker is live", hint="gwctl serve, or name a gateway with --url")
    host, _, port = found[0].listen.rpartition(":")
    return f"{'https' if home.settings.tls_cert else 'http'}://{EVERYWHERE.get(host, host)}:{port}"


@contextlib.contextmanager
def temporary_key(
    home: Home,
    purpose: str,
    *,
    policy: Policy = ANYTHING,
    project: str = DEFAULT_PROJECT,
    env: str = "test",
    lives: timedelta = LONGEST,
    rules: Iterable[KeyRule] = (),
) -> Iterator[tuple[Key, Secret]]:
    """A key for one purpose, such as `check`, that every worker knows; deleted for good at the end. `rules`: its
    budgets and limits, which end with it.

    It expires by itself after `lives`, so that nothing usable stays behind when this process is killed, and a worker
    removes it then. Raises `Locked`.
    """
    name = temporary_name(purpose, home.clock)
    until = home.clock.now() + lives
    minted = home.keys.create(name, project=project, env=env, policy=policy, expires_at=until, rules=rules)
    try:
        home.workers.wait("keys", APPLIED_WITHIN)
        yield minted.key, minted.secret
    finally:
        home.stops.delete(name, purge=True)


@contextlib.contextmanager
def own_place(
    home: Home, purpose: str, *, url: str = "", policy: Policy = ANYTHING, lives: timedelta = LONGEST
) -> Iterator[Place]:
    """The gateway of this home with a temporary key. `url`: where it is reached, if not where its worker says."""
    place = Place.at(url or own_gateway(home))
    with temporary_key(home, purpose, policy=policy, lives=lives) as (_, secret):
        yield Place(place.base_url, secret, ca_file=home.settings.tls_cert)
