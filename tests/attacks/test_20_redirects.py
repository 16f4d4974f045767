"""20. An upstream that redirects to another host → not followed, and the credential is not sent there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from keyvault.vault import testing
from tests.proxy.harness import UPSTREAM_SECRET, add_upstream, new_home, running
from tests.proxy.scripted import Line, Provider, Seen, completion


async def answer(seen: Seen, line: Line) -> None:
    await line.answer(200, completion())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed_neither_by_a_request_nor_by_a_test(tmp_path: Path, status: int) -> None:
    async with Provider(answer).running() as elsewhere:

        async def redirect(seen: Seen, line: Line) -> None:
            await line.answer(status, {}, f"location: {elsewhere.url}/v1/chat/completions")

        async with Provider(redirect).running() as provider:
            home = new_home(tmp_path / "home")
            add_upstream(home, "up", provider.url)
            async with running(home) as gw:
                response = await gw.chat()
                tested = await asyncio.to_thread(testing.test_upstream, home.upstreams.open("up"), "m", environ={})
        assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_redirected")
        assert "location" not in response.headers
        assert elsewhere.url not in response.text
        assert (tested.ok, tested.status) == (False, status)
        assert elsewhere.seen == []
        assert [seen.header("authorization") for seen in provider.seen] == [f"Bearer {UPSTREAM_SECRET}"] * 2
