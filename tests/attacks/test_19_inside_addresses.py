"""19. An upstream at a private, odd or rebound address → refused unless allowed, and checked again at connect time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from keyvault.errors import Exit
from keyvault.proxy.upstream import Origin, Pool, UpstreamFailure
from tests.attacks.conftest import write
from tests.cli.conftest import Gwctl
from tests.proxy.harness import add_upstream, new_home, running
from tests.proxy.scripted import Line, Provider, Seen, completion

INSIDE = [
    "https://169.254.169.254/latest",
    "https://127.0.0.1/v1",
    "https://10.0.0.1/v1",
    "https://[::1]/v1",
    "https://[::ffff:169.254.169.254]/v1",
    "https://localhost/v1",
    "https://metadata.internal/v1",
    "http://api.openai.com/v1",
    "https://xn--penai-0ye.com/v1",
]
NEVER = [
    "https://user:canary@api.openai.com/v1",
    "https://\u043epenai.com/v1",
    "https://2130706433/v1",
    "https://0x7f000001/v1",
    "https://127.1/v1",
    "file:///etc/passwd",
]


def create(gwctl: Gwctl, url: str, *words: str) -> tuple[int, str]:
    ran = gwctl(
        "upstreams", "create", "up", "--provider", "custom", "--base-url", url, "--secret-stdin", *words, stdin="sk-1"
    )
    return ran.code, ran.err


@pytest.mark.parametrize("url", INSIDE)
def test_an_inside_address_needs_to_be_allowed(gwctl: Gwctl, url: str) -> None:
    code, said = create(gwctl, url)
    assert (code, "--allow-private" in said) == (Exit.USAGE, True)
    assert create(gwctl, url, "--allow-private")[0] == Exit.OK


@pytest.mark.parametrize("url", NEVER)
def test_an_odd_address_is_refused_whatever_is_allowed(gwctl: Gwctl, url: str) -> None:
    for words in ((), ("--allow-private",)):
        code, said = create(gwctl, url, *words)
        assert code == Exit.USAGE
        assert "canary" not in said


async def answer(seen: Seen, line: Line) -> None:
    await line.answer(200, completion())


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1", "169.254.169.254", "10.0.0.1"])
async def test_a_name_that_leads_inside_when_it_is_connected_to_is_refused(address: str) -> None:
    """DNS rebinding: the name was harmless when the upstream was made."""
    async with Provider(answer).running() as provider:
        port = int(provider.url.rpartition(":")[2])
        asked = []

        async def rebound(host: str, _: int) -> Sequence[str]:
            asked.append(host)
            return [address]

        pool = Pool(connect_timeout=5.0, environ={}, resolver=rebound)
        with pytest.raises(UpstreamFailure) as caught:
            await pool.acquire(Origin("https", "rebound.example", port))
        assert (caught.value.code, asked) == ("private_address", ["rebound.example"])
        assert provider.lines == []
        pool.close()


async def test_taking_the_permission_away_from_a_private_upstream_stops_it(tmp_path: Path) -> None:
    async with Provider(answer).running() as provider:
        home = new_home(tmp_path / "home")
        add_upstream(home, "up", provider.url)
        async with running(home) as gw:
            assert (await gw.chat()).status_code == 200
            await asyncio.to_thread(write, tmp_path / "home", "UPDATE upstreams SET allow_private = 0")
            await asyncio.to_thread(write, tmp_path / "home", "UPDATE epochs SET upstreams = upstreams + 1")
            assert (await gw.chat()).status_code == 503
        assert len(provider.seen) == 1
