"""18. A client that sends base_url, api_base or api_key in its body, query or headers → never honoured."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proxy.harness import UPSTREAM_SECRET, add_upstream, new_home, running
from tests.proxy.scripted import Line, Provider, Seen, completion

CLIENTS_OWN = "sk-clients-own-canary-99"


async def answer(seen: Seen, line: Line) -> None:
    await line.answer(200, completion())


@pytest.mark.parametrize("where", ["body", "query", "headers"])
async def test_where_a_request_goes_and_with_which_secret_is_not_the_client_s_to_say(
    tmp_path: Path, where: str
) -> None:
    async with Provider(answer).running() as honest, Provider(answer).running() as evil:
        home = new_home(tmp_path / "home")
        add_upstream(home, "openai", honest.url)
        stray = {"base_url": f"{evil.url}/v1", "api_base": evil.url, "api_key": CLIENTS_OWN, "key": CLIENTS_OWN}
        body = {"model": "m", "messages": [], **(stray if where == "body" else {})}
        async with running(home) as gw:
            headers = gw.headers(
                **({f"openai_{name}": value for name, value in stray.items()} if where == "headers" else {})
            )
            query = stray if where == "query" else {}
            response = await gw.client.post("/v1/chat/completions", json=body, params=query, headers=headers)
        assert response.status_code == 200
        assert evil.seen == []
        [sent] = honest.seen
        assert sent.path == "/v1/chat/completions"
        assert sent.header("authorization") == f"Bearer {UPSTREAM_SECRET}"
        assert sent.header("host") == honest.url.removeprefix("http://")
        assert CLIENTS_OWN not in str(sent.headers) + sent.path
