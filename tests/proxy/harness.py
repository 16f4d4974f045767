"""A whole gateway in the test's own event loop, on a real home, in front of scripted providers."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from keyvault.clock import Clock
from keyvault.domain.keys import Policy
from keyvault.domain.prices import Rates, flat
from keyvault.domain.vault import SlotKind
from keyvault.home import Home
from keyvault.proxy.server import serving
from keyvault.secrets import Secret
from tests.few_prices import made_home

UPSTREAM_SECRET = "sk-upstream-canary-5d1f0a7e"
DOLLAR_PER_MILLION = 10**12


@dataclass
class Running:
    """A gateway that serves. `key` may do everything a default key may."""

    home: Home
    url: str
    admin: str
    key: str
    client: httpx.AsyncClient

    def headers(self, **more: str) -> dict[str, str]:
        return {
            "authorization": f"Bearer {self.key}",
            **{name.replace("_", "-"): value for name, value in more.items()},
        }

    async def chat(
        self, *, stream: bool = False, model: str = "m", key: str | None = None, **more: Any
    ) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **({"stream": True} if stream else {})}
        headers = {"authorization": f"Bearer {key or self.key}"}
        return await self.client.post("/v1/chat/completions", json={**body, **more}, headers=headers)

    def new_key(self, name: str, **policy: Any) -> str:
        return self.home.keys.create(name, policy=Policy(**policy)).secret.reveal()

    async def rows(self, count: int) -> list[dict[str, Any]]:
        """The ledger's attempts, oldest first, once there are `count` of them."""
        for _ in range(500):
            with self.home.database.read() as tx:
                found = [
                    dict(r) for r in tx.exec_driver_sql("SELECT * FROM attempts ORDER BY request_id, number").mappings()
                ]
            if len(found) >= count:
                break
            await asyncio.sleep(0.01)
        assert len(found) == count, found
        return found


def new_home(root: Path, environ: Mapping[str, str] | None = None) -> Home:
    """An initialised home below `root`. Its settings can be given as environment variables."""
    home = Home({"GWCTL_HOME": str(root), **(environ or {})}, Clock())
    if "GWCTL_DATABASE_URL" in home.environ:
        home.initialise(SlotKind.FILE)
    else:
        shutil.copytree(made_home(), root, dirs_exist_ok=True)
    return home


@contextlib.asynccontextmanager
async def running(home: Home, name: str = "tester") -> AsyncIterator[Running]:
    """Serve a home that has its upstreams; makes one key."""
    key = home.keys.create(name).secret.reveal()
    async with (
        serving(home, "127.0.0.1:0", "127.0.0.1:0") as (url, admin),
        httpx.AsyncClient(base_url=url, trust_env=False, verify=False, timeout=20) as client,
    ):
        yield Running(home, url, admin, key, client)
    home.close()


def add_upstream(home: Home, name: str, url: str, provider: str = "openai") -> None:
    """An upstream at a scripted provider, priced at 1 and 2 dollars per million."""
    home.upstreams.create(name, provider, base_url=f"{url}/v1", secret=Secret(UPSTREAM_SECRET), allow_private=True)
    home.prices.set_own(name, "m", Rates(input=flat(DOLLAR_PER_MILLION), output=flat(2 * DOLLAR_PER_MILLION)))
