"""14. A valid id with another key's secret, before and after both are known to the worker → 401."""

from __future__ import annotations

from pathlib import Path

from keyvault.keys import token
from tests.attacks.door import ask, guarded


def crossed(named: str, secret: str) -> bytes:
    """A token with the id of one key, the secret of another and a right checksum."""
    public_id, entropy = named.split("_")[2], secret.split("_")[3][:43]
    body = f"sk-gw_live_{public_id}_{entropy}".encode()
    return body + token.checksum(body)


async def test_a_secret_counts_only_with_its_own_id(tmp_path: Path) -> None:
    async with guarded(tmp_path) as (gw, provider):
        other = gw.new_key("other")
        forged = crossed(gw.key, other)
        assert token.parse(forged) == gw.key.split("_")[2]
        before = await ask(gw, b"authorization: Bearer " + forged)
        for key in (gw.key, other):
            assert (await ask(gw, b"authorization: Bearer " + key.encode())).status == 200
        after = await ask(gw, b"authorization: Bearer " + forged)
    assert (before.status, after.status) == (401, 401)
    assert before == after
    assert len(provider.seen) == 2
