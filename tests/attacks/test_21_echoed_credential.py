"""21. An upstream whose error echoes the credential in its body or headers → scrubbed for client, log and ledger."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import structlog

from tests.proxy.harness import UPSTREAM_SECRET, add_upstream, new_home, running
from tests.proxy.scripted import Line, Provider, Seen, chunk

FORMS = {
    "plain": UPSTREAM_SECRET,
    "in a header's form": f"Bearer {UPSTREAM_SECRET}",
    "base64": base64.b64encode(UPSTREAM_SECRET.encode()).decode(),
}


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
@pytest.mark.parametrize("form", FORMS)
async def test_an_error_that_echoes_the_secret_reaches_nobody(tmp_path: Path, status: int, form: str) -> None:
    echoed = FORMS[form]

    async def echo(seen: Seen, line: Line) -> None:
        error = {"error": {"message": f"bad key: {echoed}", "code": echoed, "type": "invalid_request_error"}}
        await line.answer(status, error, f"x-debug: {echoed}", f"x-request-id: {echoed}")

    async with Provider(echo).running() as provider:
        home = new_home(tmp_path / "home")
        add_upstream(home, "up", provider.url)
        with structlog.testing.capture_logs() as logged:
            async with running(home) as gw:
                response = await gw.chat()
                [row] = await gw.rows(1)
    told = f"{response.text} {response.headers} {row} {logged}"
    assert echoed not in told
    assert UPSTREAM_SECRET not in told
    files = b"".join(path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())
    assert UPSTREAM_SECRET.encode() not in files


async def test_an_error_event_in_the_middle_of_a_stream_is_scrubbed_too(tmp_path: Path) -> None:
    async def echo(seen: Seen, line: Line) -> None:
        await line.begin_stream()
        await line.event(chunk({"role": "assistant", "content": "hel"}))
        await line.event({"error": {"message": f"your key {UPSTREAM_SECRET} ended", "code": "key_ended"}})
        await line.end_stream()

    async with Provider(echo).running() as provider:
        home = new_home(tmp_path / "home")
        add_upstream(home, "up", provider.url)
        async with running(home) as gw:
            response = await gw.chat(stream=True)
            [row] = await gw.rows(1)
    assert "hel" in response.text
    assert "ended" in response.text
    assert UPSTREAM_SECRET not in f"{response.text} {row}"
