"""What a key's policy keeps it from, on the wire: addresses, environments, and tokens of another gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from keyvault.domain.keys import PolicyChange
from keyvault.errors import ConfigurationError
from keyvault.keys.making import NewKey
from keyvault.proxy.server import serving
from keyvault.secrets import Secret
from tests.proxy.harness import Running, add_upstream, new_home, running
from tests.proxy.scripted import Line, Provider, Seen, completion

FOREIGN = "sk-Fq7RtY2mZx9LbV4cKp1sWdGh6JnQ3eTu8aBi5oXyMrUvCzEl"


async def answer(seen: Seen, line: Line) -> None:
    await line.answer(200, completion(model="m"))


@pytest.fixture
async def behind_a_proxy(tmp_path: Path) -> AsyncIterator[Running]:
    """The tests' own address is that of a trusted proxy."""
    async with Provider(answer).running() as provider:
        home = new_home(tmp_path / "home", {"GWCTL_SERVE_TRUSTED_PROXIES": "127.0.0.1"})
        add_upstream(home, "up", provider.url)
        async with running(home) as gw:
            yield gw


async def ask(gw: Running, key: str, **headers: str) -> httpx.Response:
    sent = {"authorization": f"Bearer {key}"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return await gw.client.post("/v1/chat/completions", json={"model": "m", "messages": []}, headers=sent)


async def test_a_key_with_addresses_is_refused_from_elsewhere(behind_a_proxy: Running) -> None:
    gw = behind_a_proxy
    key = gw.new_key("inside", addresses=("198.51.100.0/24",))
    allowed = await ask(gw, key, x_forwarded_for="198.51.100.7")
    refused = await ask(gw, key, x_forwarded_for="198.51.100.7, 203.0.113.9")
    assert allowed.status_code == 200
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "address_not_allowed")
    assert refused.json()["error"]["type"] == "permission_error"
    assert (await ask(gw, key)).status_code == 403
    assert (await ask(gw, gw.key)).status_code == 200
    [row] = [r for r in await gw.rows(2) if r["key_id"] == gw.home.keys.get("inside").id]
    assert row["status"] == 200


async def test_a_change_of_addresses_counts_at_the_next_request_on_the_same_connection(behind_a_proxy: Running) -> None:
    gw = behind_a_proxy
    assert (await gw.chat()).status_code == 200
    gw.home.keys.update("tester", policy=PolicyChange(addresses=("192.0.2.0/24",)))
    assert (await gw.chat()).status_code == 403
    gw.home.keys.update("tester", policy=PolicyChange(addresses=()))
    assert (await gw.chat()).status_code == 200


async def test_where_a_key_was_used_from_is_the_client_not_the_proxy(behind_a_proxy: Running) -> None:
    gw = behind_a_proxy
    found = None
    while found is None:
        await ask(gw, gw.key, x_forwarded_for="198.51.100.7")
        found = gw.home.keys.get("tester").generations[0].last_address
    assert found == "198.51.100.7"


async def test_a_gateway_of_one_environment_does_not_know_the_others_keys(tmp_path: Path) -> None:
    async with Provider(answer).running() as provider:
        home = new_home(tmp_path / "home", {"GWCTL_SERVE_ENVIRONMENTS": "live"})
        add_upstream(home, "up", provider.url)
        other = home.keys.create("staging", env="test").secret.reveal()
        async with running(home) as gw:
            refused = await gw.chat(key=other)
            unknown = await gw.chat(key="sk-nobody")
            assert (refused.status_code, unknown.status_code) == (401, 401)
            assert refused.json()["error"] | {"request_id": None} == unknown.json()["error"] | {"request_id": None}
            assert (await gw.chat()).status_code == 200


async def test_a_list_of_proxies_that_is_none_stops_the_start(tmp_path: Path) -> None:
    home = new_home(tmp_path / "home", {"GWCTL_SERVE_TRUSTED_PROXIES": "lb.example.com"})
    with pytest.raises(ConfigurationError, match=r"serve\.trusted_proxies: not a network"):
        async with serving(home, "127.0.0.1:0", "127.0.0.1:0"):
            pass
    home.close()


async def test_an_adopted_token_opens_the_gateway_as_ours_do(behind_a_proxy: Running) -> None:
    gw = behind_a_proxy
    assert (await gw.chat(key=FOREIGN)).status_code == 401
    gw.home.keys.adopt(NewKey("mobile"), Secret(FOREIGN), force=False)
    assert (await gw.chat(key=FOREIGN)).status_code == 200
    plain = await gw.client.post("/v1/chat/completions", json={"model": "m"}, headers={"x-api-key": FOREIGN})
    assert plain.status_code == 200
    assert (await gw.chat(key=FOREIGN[:-1] + "m")).status_code == 401
    assert (await gw.chat()).status_code == 200
    gw.home.keys.revoke("mobile")
    assert (await gw.chat(key=FOREIGN)).status_code == 401
