"""Whatever one project asks for, in whatever order: the provider never sees an id of what the other one stored."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyvault.domain.objects import KINDS, OPERATIONS
from keyvault.proxy.isolation.naming import REFERENCES
from tests.proxy.storing import PREFIXES
from tests.proxy.test_isolation import Tenants, tenants

THEIRS, OWN = "<theirs>", "<own>"
"""Stand for an id of the other project and one of ours, until the number says which."""
UNKNOWN_FIELDS = ("ref", "attachment", "source_id", "of", "target", "id")


@dataclass
class Two:
    """A running gateway and the ids that each of two projects has made, by collection."""

    runner: asyncio.Runner
    tenants: Tenants
    theirs: list[str]
    own: list[str]

    def send(self, requests: list[dict[str, Any]]) -> set[str]:
        """The ids of the other project that these requests made the provider see."""
        seen = self.tenants.store.provider.seen
        before = len(seen)
        self.runner.run(self._send(requests))
        shown = b" ".join(r.path.encode() + b" " + r.body for r in seen[before:]).lower()
        return {each for each in self.theirs if each.encode() in shown or quote(each).encode() in shown}

    async def _send(self, requests: list[dict[str, Any]]) -> None:
        for request in requests:
            raw = httpx.URL(self.tenants.gateway.url, raw_path=f"/v1{request['path']}".encode())
            headers = {"authorization": f"Bearer {self.tenants.keys['b']}", **request["headers"]}
            with contextlib.suppress(httpx.RemoteProtocolError):
                answer = await self.tenants.gateway.client.request(
                    request["method"], raw, headers=headers, content=request["content"]
                )
                assert answer.status_code != 500, answer.text


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        stack = contextlib.AsyncExitStack()
        t = runner.run(stack.enter_async_context(tenants(Path(tmp_path_factory.mktemp("two")))))
        made: dict[str, list[str]] = {"a": [], "b": []}
        for who, ids in made.items():
            ids += runner.run(_everything(t, who))
        try:
            yield Two(runner, t, made["a"], made["b"])
        finally:
            runner.run(stack.aclose())


async def _everything(t: Tenants, who: str) -> list[str]:
    made = [await t.make(who, collection) for collection in PREFIXES]
    thread = next(each for each in made if each.startswith("thread_"))
    below = [await t.ask(who, "POST", f"/threads/{thread}/{name}", json={}) for name in ("messages", "runs")]
    return [*made, *(answer.json()["id"] for answer in below)]


ids = st.tuples(st.sampled_from((THEIRS, OWN)), st.integers(0, 1000))


def placed(two: Two, which: tuple[str, int]) -> str:
    side, number = which
    among = two.theirs if side == THEIRS else two.own
    return among[number % len(among)]


TRICKS = (
    lambda text: text,
    lambda text: quote(text[:3]) + "%" + format(ord(text[3]), "02x") + text[4:],
    lambda text: text + "/",
    lambda text: "/" + text,
    lambda text: text + "%00",
    lambda text: text.upper(),
    lambda text: "x/../" + text,
    lambda text: text + ";a=b",
    lambda text: text + "," + text,
)

fields = st.sampled_from((*sorted(REFERENCES), *UNKNOWN_FIELDS, "File_ID", "TRAINING_FILE", "\ufb01le_id"))
values = st.recursive(
    ids,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(fields, inner, max_size=3),
    max_leaves=6,
)
typed = st.sampled_from(({}, {"type": "item_reference"}, {"type": "code_interpreter"}, {"type": "message"}))
paths = st.sampled_from(OPERATIONS) | st.builds(
    lambda method, path: (method, path),
    st.sampled_from(("GET", "POST", "DELETE", "PATCH", "PUT", "HEAD")),
    st.sampled_from(("/responses", "/chat/completions", "/messages", "/evals/{id}", "/files/{id}/x", "/models/{id}")),
)


@st.composite
def asked(draw: st.DrawFn) -> dict[str, Any]:
    """A request, with places for ids."""
    operation = draw(paths)
    method, parts = operation if isinstance(operation, tuple) else (operation.method, operation.parts)
    if isinstance(parts, str):
        parts = tuple(parts.split("/")[1:])
    return {
        "method": method,
        "parts": [(draw(ids), draw(st.sampled_from(TRICKS))) if part.startswith("{") else part for part in parts],
        "query": draw(
            st.lists(st.tuples(st.sampled_from(("after", "before", "After", "file_id", "x", "limit")), ids), max_size=3)
        ),
        "body": draw(st.none() | st.dictionaries(fields, values, max_size=4)),
        "more": draw(typed),
        "form": draw(st.booleans()),
        "twice": draw(st.booleans()),
    }


def request_of(two: Two, asked: dict[str, Any]) -> dict[str, Any]:
    parts = [part if isinstance(part, str) else part[1](placed(two, part[0])) for part in asked["parts"]]
    query = urlencode([(name, placed(two, which)) for name, which in asked["query"]])
    body = None if asked["body"] is None else {"model": "m", "input": [], **asked["more"], **filled(two, asked["body"])}
    headers, content = {}, b""
    if body is not None and asked["form"]:
        headers, content = {"content-type": "multipart/form-data; boundary=b"}, form_of(body)
    elif body is not None:
        text = json.dumps(body)
        if asked["twice"]:  # a field again, as a parser might or might not see it
            text = text[:-1] + ', "file_id": "' + two.theirs[0] + '", "file_id": null}'
        headers, content = {"content-type": "application/json"}, text.encode()
    path = "/" + "/".join(parts) + (f"?{query}" if query else "")
    return {"method": asked["method"], "path": path, "headers": headers, "content": content}


def filled(two: Two, value: Any) -> Any:
    if isinstance(value, tuple):
        return placed(two, value)
    if isinstance(value, list):
        return [filled(two, item) for item in value]
    return {name: filled(two, item) for name, item in value.items()}


def form_of(body: dict[str, Any]) -> bytes:
    lines = []
    for name, value in body.items():
        text = value if isinstance(value, str) else json.dumps(value)
        lines.append(f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n')
    return "".join(lines).encode() + b"--b--\r\n"


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of a deep example, when one fails
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=st.lists(asked(), min_size=1, max_size=4))
def test_the_provider_never_sees_an_id_of_the_other_project(two: Two, requests: list[dict[str, Any]]) -> None:
    assert two.send([request_of(two, each) for each in requests]) == set()


def test_the_requests_reach_the_provider_where_all_is_ones_own(two: Two) -> None:
    """Else the test above would show nothing."""
    before = len(two.tenants.store.provider.seen)
    for number in range(len(PREFIXES)):
        path = f"/{list(PREFIXES)[number]}/{two.own[number]}"
        two.runner.run(two._send([{"method": "GET", "path": path, "headers": {}, "content": b""}]))
    assert len(two.tenants.store.provider.seen) > before
    assert set(KINDS) > {"file", "batch"}


@pytest.mark.parametrize("path", ["responses", "chat/completions", "messages", "embeddings"])
@pytest.mark.parametrize("name", ["after", "Before", "x", "file_id"])
def test_a_query_where_none_is_read_names_nothing_of_the_other_project(two: Two, path: str, name: str) -> None:
    asked = {"method": "POST", "parts": path.split("/"), "more": {}, "body": {}, "form": False, "twice": False}
    every = [{**asked, "query": [(name, (THEIRS, number))]} for number in range(len(two.theirs))]
    assert two.send([request_of(two, each) for each in every]) == set()
