"""A pending generation becomes the key's active one at its first successful use, not at a refused request."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from keyvault.domain.keys import GenerationState, Key
from tests.proxy.harness import Running
from tests.proxy.test_gateway import answer_well, gateway

PENDING, ACTIVE, GRACE = GenerationState.PENDING, GenerationState.ACTIVE, GenerationState.GRACE


async def until_used(gw: Running, name: str, generation: int) -> Key:
    """The key, once the proxy has written that a generation was used."""
    for _ in range(500):
        key = gw.home.keys.get(name)
        found = key.generation(generation)
        if found is not None and found.last_used_at is not None:
            return key
        await asyncio.sleep(0.01)
    raise AssertionError("the use was never written")


async def test_refused_requests_do_not_activate_a_new_secret_and_the_first_accepted_one_does(tmp_path: Path) -> None:
    async with gateway(tmp_path, answer_well) as (gw, _):
        old = gw.new_key("bot", models=("m",))
        new = gw.home.keys.rotate("bot", timedelta(hours=1)).secret
        assert new is not None
        refused = await gw.chat(key=new.reveal(), model="another")
        nowhere = await gw.client.get("/v1/files", headers={"authorization": f"Bearer {new.reveal()}"})
        assert (refused.status_code, nowhere.status_code) == (403, 403)
        assert (await gw.chat(key=old)).status_code == 200
        key = await until_used(gw, "bot", 1)  # what came before it has been written too, if it ever is
        assert [g.state for g in key.generations] == [PENDING, ACTIVE]

        assert (await gw.chat(key=new.reveal())).status_code == 200
        key = await until_used(gw, "bot", 2)
        assert [g.state for g in key.generations] == [ACTIVE, GRACE]
