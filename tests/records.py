"""Many sealed records, for tests and measurements of what happens to all of them."""

from __future__ import annotations

from keyvault.domain.vault import Compartment, CredentialState
from keyvault.home import Home
from keyvault.secrets import Secret
from keyvault.storage import credentials
from keyvault.vault.credentials import seal_credential


def seal_many(home: Home, upstream_name: str, count: int) -> None:
    """Give an upstream so many spare credentials, staged under labels of their own."""
    upstream = home.upstreams.get(upstream_name)
    opened = home.vault.unlock(Compartment.UPSTREAM)
    with home.database.change() as tx:
        for number in range(count):
            record_id, label = f"spare-{number:06d}", f"spare-{number}"
            made = credentials.insert(tx, upstream.id, label, CredentialState.STAGED, record_id, home.clock.now())
            seal_credential(tx, opened, upstream, made, Secret(f"sk-spare-{number}"))
