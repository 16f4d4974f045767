"""The official OpenAI SDK on stored objects, through a real gateway: two projects on one provider account."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.gateway import Gateway, serving
from tests.proxy.storing import Store


@dataclass
class Projects:
    """One account, a client for each of two projects."""

    store: Store
    gateway: Gateway
    a: openai.OpenAI
    b: openai.OpenAI


@pytest.fixture
def store() -> Iterator[Store]:
    """The storing provider on a loop of its own."""
    store, started, ended = Store(), threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with store.provider.running():
            started.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    started.wait()
    yield store
    loop.call_soon_threadsafe(ended.set)
    thread.join()
    loop.close()


@pytest.fixture
def projects(tmp_path: Path, store: Store) -> Iterator[Projects]:
    gateway = Gateway(tmp_path / "home")
    gateway.create_upstream("openai", "openai", f"{store.provider.url}/v1", "sk-account-canary-1")
    gateway.set_price("openai/m")
    secrets = [
        gateway.create_key(name, "--project", f"acme/{name}", "--create", "--endpoints", "all") for name in ("a", "b")
    ]
    with serving(gateway):
        clients = [openai.OpenAI(base_url=gateway.base_url, api_key=secret, max_retries=0) for secret in secrets]
        yield Projects(store, gateway, *clients)
        for client in clients:
            client.close()


def test_files_and_batches_of_two_projects_do_not_meet(projects: Projects) -> None:
    a, b = projects.a, projects.b
    file = a.files.create(file=("lines.jsonl", b"{}\n"), purpose="batch")
    batch = a.batches.create(input_file_id=file.id, endpoint="/v1/responses", completion_window="24h")
    assert [each.id for each in a.files.list()] == [file.id]
    assert [each.id for each in a.batches.list()] == [batch.id]
    assert list(b.files.list()) == []
    assert list(b.batches.list()) == []
    for ask in (
        lambda: b.files.retrieve(file.id),
        lambda: b.files.content(file.id),
        lambda: b.files.delete(file.id),
        lambda: b.batches.retrieve(batch.id),
        lambda: b.batches.cancel(batch.id),
        lambda: b.batches.create(input_file_id=file.id, endpoint="/v1/responses", completion_window="24h"),
    ):
        with pytest.raises(openai.NotFoundError):
            ask()
    assert a.files.delete(file.id).deleted


def test_a_batch_is_booked_under_the_key_that_made_it(projects: Projects) -> None:
    batch = projects.a.batches.create(
        input_file_id=upload(projects.a), endpoint="/v1/responses", completion_window="24h"
    )
    usage = {"input_tokens": 1000, "output_tokens": 500, "total_tokens": 1500}
    projects.store.objects["batches"][batch.id].update(status="completed", model="m", usage=usage)
    assert projects.a.batches.retrieve(batch.id).status == "completed"
    projects.a.batches.retrieve(batch.id)
    rows = projects.gateway.rows("SELECT cost_pico FROM attempts WHERE dialect = 'deferred'")
    assert rows == [{"cost_pico": 2_000_000_000}]


def test_responses_chain_within_a_project_only(projects: Projects) -> None:
    a, b = projects.a, projects.b
    first = a.responses.create(model="m", input="hello")
    second = a.responses.create(model="m", input="more", previous_response_id=first.id)
    with a.responses.create(model="m", input="again", previous_response_id=second.id, stream=True) as stream:
        events: list[Any] = list(stream)
    third = events[-1].response.id
    assert a.responses.retrieve(third).id == third
    for stolen in (first.id, third):
        with pytest.raises(openai.NotFoundError):
            b.responses.create(model="m", input="x", previous_response_id=stolen)
        with pytest.raises(openai.NotFoundError):
            b.responses.retrieve(stolen)


def test_vector_stores_take_own_files_only(projects: Projects) -> None:
    a, b = projects.a, projects.b
    theirs, mine = upload(a), upload(b)
    shelf = b.vector_stores.create(name="docs", file_ids=[mine])
    assert b.vector_stores.files.create(vector_store_id=shelf.id, file_id=mine).id == mine
    with pytest.raises(openai.NotFoundError):
        b.vector_stores.files.create(vector_store_id=shelf.id, file_id=theirs)
    with pytest.raises(openai.NotFoundError):
        a.vector_stores.search(vector_store_id=shelf.id, query="x")
    assert [each.id for each in b.vector_stores.list()] == [shelf.id]
    assert list(a.vector_stores.list()) == []


def upload(client: openai.OpenAI) -> str:
    return client.files.create(file=("f.txt", b"text"), purpose="assistants").id
