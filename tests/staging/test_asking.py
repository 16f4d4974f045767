"""What an application would see: the same question to a simulated provider, in every dialect, streamed and not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from keyvault.errors import UsageError
from keyvault.secrets import Secret
from opsconsole.staging.asking import Asker, Place, said
from opsconsole.staging.simulation.profile import Profile
from opsconsole.staging.simulator import Simulator, running

CHAT = {"messages": [{"role": "user", "content": "hello"}]}
MESSAGES = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 50}
QUESTIONS = {"/chat/completions": CHAT, "/completions": {"prompt": "hello"}, "/responses": {"input": "hello"}}
QUESTIONS["/messages"] = MESSAGES


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with running(Profile()) as [simulator]:
        yield simulator


def place(simulator: Simulator) -> Place:
    return Place.at(simulator.origin, Secret(simulator.profile.credential))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", QUESTIONS)
async def test_an_answer_is_read_in_every_dialect(simulator: Simulator, path: str, stream: bool) -> None:
    more = {"stream_options": {"include_usage": True}} if stream and path.endswith("completions") else {}
    async with Asker(place(simulator)) as asker:
        answer = await asker.ask(path, {"model": "sim", "stream": stream, **QUESTIONS[path], **more})
    assert (answer.status, answer.failure, answer.streamed) == (200, None, stream)
    heard = said(path, answer)
    assert heard.complete
    assert heard.text
    assert heard.finish in ("stop", "end_turn", "completed")
    assert heard.usage is not None
    assert heard.usage.output
    assert answer.first_content_ms is not None
    assert answer.first_content_ms <= answer.total_ms


@pytest.mark.parametrize(
    ("behaviour", "code", "complete"),
    [("429", "rate_limit_exceeded", False), ("drop", "no_answer", False), ("cut", None, False)],
)
async def test_what_goes_wrong_is_told_and_never_raised(
    simulator: Simulator, behaviour: str, code: str | None, complete: bool
) -> None:
    async with Asker(place(simulator)) as asker:
        answer = await asker.ask("/chat/completions", {"model": f"sim-{behaviour}", "stream": True, **CHAT})
    heard = said("/chat/completions", answer)
    assert (heard.error_code, heard.complete) == (code, complete)
    assert not answer.ok


async def test_nobody_there_is_an_answer_too() -> None:
    async with Asker(Place.at("http://127.0.0.1:9")) as asker:
        answer = await asker.ask("/models", method="GET")
    assert (answer.status, answer.failure) == (None, "connection refused")


URLS_WITH_SECRETS = ["http://user:hidden@x/v1", "http://x/v1?key=hidden", "http://hidden@x/v1", "http://x/v1#hidden"]


@pytest.mark.parametrize(
    "url", ["", "localhost:8900", "ftp://x/v1", "http:///v1", "http://[", "http://x:y/v1", *URLS_WITH_SECRETS]
)
def test_what_is_no_base_url_is_refused_and_a_secret_in_it_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="base URL") as refused:
        Place.at(url)
    assert "hidden" not in str(refused.value)


def test_a_place_never_shows_its_secret() -> None:
    assert "sk-hidden" not in repr(Place.at("http://x", Secret("sk-hidden")))
