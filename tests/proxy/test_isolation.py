"""Two projects, one provider account: neither sees, names, changes or deletes what the other stored there."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from keyvault.domain.keys import Policy
from keyvault.secrets import Secret
from tests.attacks.conftest import write
from tests.proxy.harness import Running, add_upstream, new_home, running
from tests.proxy.storing import PREFIXES, Store

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"content-type": "application/json"}

CREATES: dict[str, dict[str, Any]] = {
    "files": {"purpose": "batch"},
    "uploads": {"purpose": "batch", "bytes": 1, "filename": "f", "mime_type": "text/plain"},
    "batches": {"endpoint": "/v1/responses", "completion_window": "24h"},
    "responses": {"model": "m", "input": "hi"},
    "conversations": {},
    "vector_stores": {"name": "docs"},
    "assistants": {"model": "m"},
    "threads": {},
    "fine_tuning/jobs": {"model": "m"},
    "containers": {"name": "c"},
    "chat/completions": {"model": "m", "messages": [{"role": "user", "content": "hi"}], "store": True},
    "messages/batches": {"requests": []},
}
LISTED = {"files", "batches", "vector_stores", "assistants", "fine_tuning/jobs", "containers", "chat/completions",
          "messages/batches"}  # fmt: skip


@dataclass
class Tenants:
    """A gateway in front of one storing account, with keys of two projects and the operator's own."""

    gateway: Running
    store: Store
    keys: dict[str, str]

    async def ask(self, who: str, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.keys[who]}", **more.pop("headers", {})}
        return await self.gateway.client.request(method, f"/v1{path}", headers=headers, **more)

    async def make(self, who: str, collection: str) -> str:
        answer = await self.ask(who, "POST", f"/{collection}", json=CREATES[collection])
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def sent(self) -> int:
        """How many requests the provider had, but for the gateway's own questions about work that is not done yet."""
        asked = tuple(
            f"/v1/{collection}/" for collection in ("batches", "messages/batches", "fine_tuning/jobs", "responses")
        )
        return sum(not (seen.method == "GET" and seen.path.startswith(asked)) for seen in self.store.provider.seen)

    def owner(self, object_id: str) -> str | None:
        with self.gateway.home.database.read() as tx:
            row = tx.exec_driver_sql(
                f"SELECT p.name FROM objects o JOIN projects p ON p.id = o.project_id WHERE o.object_id = '{object_id}'"
            ).first()
        return None if row is None else str(row[0])


@contextlib.asynccontextmanager
async def two_accounts(tmp_path: Path) -> AsyncIterator[tuple[Running, str, dict[str, Store]]]:
    """One project's key in front of two upstreams, the first of which is the default."""
    stores = {"openai": Store(), "other": Store()}
    stores["other"].numbers = itertools.count(500)
    async with stores["openai"].provider.running() as first, stores["other"].provider.running() as second:
        home = new_home(tmp_path, {"GWCTL_SERVE_DEFAULT_UPSTREAM": "openai"})
        for name, provider in (("openai", first), ("other", second)):
            add_upstream(home, name, provider.url)
        policy = Policy(endpoints=("all",), pin=True)
        key = home.keys.create("a", project="acme/a", create_missing=True, policy=policy).secret.reveal()
        async with running(home) as gateway:
            yield gateway, key, stores


async def test_a_request_goes_where_the_object_is_that_it_names(tmp_path: Path) -> None:
    async with two_accounts(tmp_path) as (gateway, key, stores):
        headers = {"authorization": f"Bearer {key}"}

        async def make(**more: str) -> str:
            answer = await gateway.client.post("/v1/files", json={"purpose": "batch"}, headers={**headers, **more})
            return str(answer.json()["id"])

        here, there = await make(), await make(**{"x-gateway-pin": "other/m"})
        found = await gateway.client.get(f"/v1/files/{there}", headers=headers)
        assert found.json()["id"] == there
        batch = {"input_file_id": there, "endpoint": "/v1/responses", "completion_window": "24h"}
        assert (await gateway.client.post("/v1/batches", json=batch, headers=headers)).status_code == 200
        assert list(stores["other"].objects["batches"])
        both = await gateway.client.post("/v1/vector_stores", json={"file_ids": [here, there]}, headers=headers)
        assert (both.status_code, both.json()["error"]["code"]) == (400, "stored_apart")
        assert "vector_stores" not in {**stores["openai"].objects, **stores["other"].objects}


async def test_a_request_goes_with_the_credential_that_made_what_it_names(tmp_path: Path) -> None:
    store = Store()
    async with store.provider.running() as provider:
        home = new_home(tmp_path)
        add_upstream(home, "openai", provider.url)
        second = home.credentials.create("openai", "second", Secret("sk-second-account-canary-1"))
        home.credentials.tested("openai", second, "answered", ok=True)
        home.credentials.promote("openai", "second")
        key = home.keys.create("a", policy=Policy(endpoints=("all",))).secret.reveal()
        headers = {"authorization": f"Bearer {key}"}
        async with running(home) as gateway:
            made = [
                (await gateway.client.post("/v1/files", json={"purpose": "batch"}, headers=headers)).json()["id"]
                for _ in range(4)
            ]
            used = [seen.header("authorization") for seen in store.provider.seen]
            assert len(set(used)) == 2, "both accounts take turns"
            for each, with_credential in zip(made, used, strict=True):
                for _ in range(2):
                    await gateway.client.get(f"/v1/files/{each}", headers=headers)
                    assert store.provider.seen[-1].header("authorization") == with_credential
            apart = await gateway.client.post("/v1/vector_stores", json={"file_ids": made}, headers=headers)
            assert (apart.status_code, apart.json()["error"]["code"]) == (400, "stored_apart")


@contextlib.asynccontextmanager
async def tenants(tmp_path: Path) -> AsyncIterator[Tenants]:
    store = Store()
    async with store.provider.running() as provider:
        home = new_home(tmp_path)
        add_upstream(home, "openai", provider.url)
        keys = {}
        for name, policy in (
            ("a", Policy(endpoints=("all",))),
            ("b", Policy(endpoints=("all",))),
            ("operator", Policy(endpoints=("all",), isolation=False)),
        ):
            keys[name] = home.keys.create(
                name, project=f"acme/{name}", create_missing=True, policy=policy
            ).secret.reveal()
        keys["a2"] = home.keys.create("a2", project="acme/a", policy=Policy(endpoints=("all",))).secret.reveal()
        async with running(home) as gateway:
            yield Tenants(gateway, store, keys)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tenants]:
    """One gateway for all that only ask for what is not theirs."""
    async with tenants(tmp_path_factory.mktemp("shared")) as t:
        yield t


def error_of(answer: httpx.Response) -> str:
    """All that an answer says of what went wrong."""
    return json.dumps(answer.json()["error"])


@pytest.mark.parametrize("collection", PREFIXES)
async def test_an_object_is_reached_by_the_project_that_made_it_alone(tmp_path: Path, collection: str) -> None:
    async with tenants(tmp_path) as t:
        made = await t.make("a", collection)
        assert t.owner(made) == "a"
        sent = len(t.store.provider.seen)
        for method, path in (
            ("GET", f"/{collection}/{made}"),
            ("DELETE", f"/{collection}/{made}"),
            ("POST", f"/{collection}/{made}"),
            ("POST", f"/{collection}/{made}/cancel"),
            ("GET", f"/{collection}/{made}/content"),
            ("GET", f"/{collection}/{made}/messages"),
            ("GET", f"/{collection}/{made}/files"),
        ):
            refused = await t.ask("b", method, path, **({"json": {}} if method == "POST" else {}))
            assert refused.status_code in (403, 404), (method, path, refused.text)
            unknown = await t.ask("b", method, path.replace(made, made[:-6] + "zzzzzz"))
            assert unknown.status_code == refused.status_code
            assert error_of(unknown).replace("zzzzzz", made[-6:]) == error_of(refused)
        assert len(t.store.provider.seen) == sent, "nothing is sent for an object that is not one's own"
        if collection != "uploads":
            mine = await t.ask("a2", "GET", f"/{collection}/{made}")
            assert mine.json()["id"] == made, "another key of the project reaches it"
        if collection not in ("uploads", "batches", "fine_tuning/jobs"):
            assert (await t.ask("a", "DELETE", f"/{collection}/{made}")).status_code == 200
            assert t.owner(made) is None
            assert (await t.ask("a", "GET", f"/{collection}/{made}")).status_code == 404


async def test_a_list_shows_a_projects_own_objects_alone(tmp_path: Path) -> None:
    async with tenants(tmp_path) as t:
        for collection in sorted(LISTED):
            first = await t.make("a", collection)
            foreign = [await t.make("b", collection) for _ in range(3)]
            second = await t.make("a", collection)
            page = (await t.ask("a", "GET", f"/{collection}")).json()
            assert [each["id"] for each in page["data"]] == [second, first]
            assert (page["first_id"], page["last_id"], page["has_more"]) == (second, first, False)
            theirs = (await t.ask("b", "GET", f"/{collection}")).json()
            assert [each["id"] for each in theirs["data"]] == foreign[::-1]


async def test_pages_without_own_objects_are_passed_over(tmp_path: Path) -> None:
    async with tenants(tmp_path) as t:
        t.store.page = 4
        mine = await t.make("a", "files")
        for _ in range(30):
            t.store.put("files", "file-", object="file")
        page = (await t.ask("a", "GET", "/files?limit=3")).json()
        assert [each["id"] for each in page["data"]] == [mine]
        assert page["has_more"] is False


async def test_a_project_without_objects_is_answered_without_asking(tmp_path: Path) -> None:
    async with tenants(tmp_path) as t:
        await t.make("a", "files")
        sent = len(t.store.provider.seen)
        page = (await t.ask("b", "GET", "/files")).json()
        assert (page["data"], page["has_more"], len(t.store.provider.seen)) == ([], False, sent)


async def test_a_cursor_must_be_ones_own(shared: Tenants) -> None:
    theirs, mine = await shared.make("a", "files"), await shared.make("b", "files")
    assert (await shared.ask("b", "GET", f"/files?after={theirs}")).status_code == 404
    assert (await shared.ask("b", "GET", f"/files?after={mine}&after={theirs}")).status_code == 404
    assert (await shared.ask("b", "GET", f"/files?After={theirs}")).status_code == 404
    assert (await shared.ask("b", "GET", f"/files?after={mine}")).status_code == 200


def said(content: Any) -> list[Any]:
    return [{"role": "user", "content": [content]}]


REFERENCES: list[tuple[str, str, dict[str, Any]]] = [
    ("/responses", "responses", {"previous_response_id": "@@"}),
    ("/responses", "conversations", {"conversation": "@@"}),
    ("/responses", "conversations", {"conversation": {"id": "@@"}}),
    ("/responses", "files", {"input": said({"type": "input_file", "file_id": "@@"})}),
    ("/responses", "files", {"input": [{"type": "item_reference", "id": "@@"}]}),
    ("/responses", "files", {"input": [{"id": "@@"}]}),
    ("/responses", "vector_stores", {"tools": [{"type": "file_search", "vector_store_ids": ["@@"]}]}),
    ("/responses", "containers", {"tools": [{"type": "code_interpreter", "container": "@@"}]}),
    ("/responses", "files", {"prompt": {"id": "@@"}}),
    ("/responses", "files", {"store": False, "tools": [{"container": {"file_ids": ["@@"]}}]}),
    ("/chat/completions", "files", {"messages": said({"type": "file", "file": {"file_id": "@@"}})}),
    ("/batches", "files", {"input_file_id": "@@", "endpoint": "/v1/responses", "completion_window": "24h"}),
    ("/vector_stores", "files", {"file_ids": ["@@"]}),
    ("/fine_tuning/jobs", "files", {"training_file": "@@"}),
    ("/fine_tuning/jobs", "files", {"validation_file": "@@"}),
    ("/assistants", "vector_stores", {"tool_resources": {"file_search": {"vector_store_ids": ["@@"]}}}),
    ("/assistants", "files", {"tool_resources": {"code_interpreter": {"file_ids": ["@@"]}}}),
    ("/threads", "files", {"messages": [{"role": "user", "content": "x", "attachments": [{"file_id": "@@"}]}]}),
    ("/threads/runs", "assistants", {"assistant_id": "@@"}),
    ("/containers", "files", {"name": "c", "file_ids": ["@@"]}),
    ("/conversations", "files", {"items": [{"type": "message", "content": [{"file_id": "@@"}]}]}),
    ("/messages", "containers", {"max_tokens": 5, "container": "@@"}),
    ("/messages", "files", {"messages": said({"type": "document", "source": {"type": "file", "file_id": "@@"}})}),
    ("/vector_stores", "files", {"some_new_field": {"of_theirs": "@@"}}),
]
MODELS = {"/responses", "/chat/completions", "/fine_tuning/jobs", "/assistants", "/messages"}


@pytest.mark.parametrize(("path", "collection", "body"), REFERENCES, ids=lambda v: v if isinstance(v, str) else None)
async def test_a_reference_to_another_projects_object_is_answered_as_unknown(
    shared: Tenants, path: str, collection: str, body: Any
) -> None:
    theirs, mine = await shared.make("a", collection), await shared.make("b", collection)
    sent = shared.sent()
    text = json.dumps({"model": "m", **body} if path in MODELS else body)
    refused = await shared.ask("b", "POST", path, content=text.replace("@@", theirs), headers=JSON)
    assert refused.status_code == 404, refused.text
    escaped = "".join(f"\\u{ord(c):04x}" for c in theirs)
    assert (await shared.ask("b", "POST", path, content=text.replace("@@", escaped), headers=JSON)).status_code == 404
    shouted = text.replace('file_id"', 'File_ID"').replace('"training_file"', '"Training_File"')
    assert (await shared.ask("b", "POST", path, content=shouted.replace("@@", theirs), headers=JSON)).status_code in (
        400,
        404,
    )
    assert shared.sent() == sent
    if "some_new_field" not in body and path != "/messages":  # which this upstream does not speak
        served = await shared.ask("b", "POST", path, content=text.replace("@@", mine), headers=JSON)
        assert served.status_code == 200, served.text


@pytest.mark.parametrize(
    "trick",
    [
        "/files/{id}/",
        "/files//{id}",
        "//files/{id}",
        "/files/%66ile-{tail}",
        "/files/{id}%20",
        "/files/{id}%00",
        "/files/{id};x=1",
        "/Files/{id}",
        "/files/FILE-{tail}",
        "/files/{id}/content/",
        "/files/./{id}",
        "/files/x/../{id}",
        "/files/%2e%2e/files/{id}",
        "/files/{own},{id}",
        "/files/{own}/../{id}",
        "/files/{own}%2f..%2f{id}",
        "/vector_stores/{id}",
        "/files/{id}?model=m",
        "/files/{own}?file_id={id}",
        "/files/{own}?x={id}",
        "/files?after={own}&after={id}",
        "/files?after%5B%5D={id}",
        "/models/{id}",
        "/models/%66ile-{tail}",
        "/evals",
        "/organization/users",
        "/videos",
    ],
)
async def test_no_spelling_of_an_id_gets_through(shared: Tenants, trick: str) -> None:
    theirs, own = await shared.make("a", "files"), await shared.make("b", "files")
    sent = shared.sent()
    path = trick.format(id=theirs, own=own, tail=theirs.removeprefix("file-"))
    raw = httpx.URL(shared.gateway.url, raw_path=f"/v1{path}".encode())
    answer = await shared.gateway.client.request("GET", raw, headers={"authorization": f"Bearer {shared.keys['b']}"})
    assert answer.status_code in (400, 403, 404), answer.text
    assert shared.sent() == sent


async def test_a_field_that_stands_twice_is_refused(tmp_path: Path) -> None:
    async with tenants(tmp_path) as t:
        theirs, mine = await t.make("a", "files"), await t.make("b", "files")
        for first, last in ((f'"{theirs}"', f'"{mine}"'), (f'"{theirs}"', "null"), (f'"{mine}"', f'"{theirs}"')):
            body = f'{{"model":"m","input":[{{"content":[{{"file_id":{first},"file_id":{last}}}]}}]}}'
            answer = await t.ask("b", "POST", "/responses", content=body, headers=JSON)
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "repeated_field")
        top = f'{{"input_file_id":"{theirs}","input_file_id":"{mine}"}}'
        assert (await t.ask("b", "POST", "/batches", content=top, headers=JSON)).status_code == 200
        assert theirs not in {t.store.provider.seen[-1].json["input_file_id"]}, "what was read is what is sent"


@pytest.mark.parametrize(
    "fields",
    [
        {"file_id": (None, "@@")},
        {"file_ids[]": (None, "@@")},
        {"file_id": ("name.txt", "@@")},
        {"tool_resources[code_interpreter][file_ids][]": (None, "@@")},
        {"data": (None, '{"file_id": "@@"}')},
        {"anything": (None, "@@")},
    ],
)
async def test_a_forms_fields_are_read_as_well(shared: Tenants, fields: dict[str, Any]) -> None:
    theirs = await shared.make("a", "files")
    box = await shared.make("b", "containers")
    sent = shared.sent()
    form = {name: (file, text.replace("@@", theirs)) for name, (file, text) in fields.items()}
    answer = await shared.ask("b", "POST", f"/containers/{box}/files", files=form)
    assert answer.status_code in (400, 404), answer.text
    assert shared.sent() == sent


async def test_a_body_that_nobody_can_read_is_refused(tmp_path: Path) -> None:
    async with tenants(tmp_path) as t:
        theirs = await t.make("a", "files")
        for body, kind in (
            (f"input_file_id={theirs}".encode(), "application/x-www-form-urlencoded"),
            (b"\xef\xbb\xbf" + json.dumps({"input_file_id": theirs}).encode(), "text/plain"),
            (json.dumps([{"input_file_id": theirs}]).encode(), "application/json"),
        ):
            answer = await t.ask("b", "POST", "/batches", content=body, headers={"content-type": kind})
            assert answer.status_code in (400, 415), answer.text
        assert t.store.named() == set()


async def test_a_streamed_response_is_on_record_before_its_end(shared: Tenants) -> None:
    answer = await shared.ask("a", "POST", "/responses", json={"model": "m", "input": "x", "stream": True})
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    made, item = events[0]["response"]["id"], events[-1]["response"]["output"][0]["id"]
    assert (shared.owner(made), shared.owner(item)) == ("a", "a")
    assert (await shared.ask("b", "GET", f"/responses/{made}")).status_code == 404
    stolen = {"model": "m", "input": [{"type": "item_reference", "id": item}]}
    assert (await shared.ask("b", "POST", "/responses", json=stolen)).status_code == 404
    assert (await shared.ask("a", "POST", "/responses", json=stolen)).status_code == 200


async def test_what_was_there_before_belongs_to_nobody(shared: Tenants) -> None:
    old = shared.store.put("files", "file-", object="file")["id"]
    assert (await shared.ask("a", "GET", f"/files/{old}")).status_code == 404
    assert (await shared.ask("operator", "GET", f"/files/{old}")).json()["id"] == old


async def test_the_operators_key_sees_everything_and_leaves_no_record(tmp_path: Path) -> None:
    async with tenants(tmp_path) as t:
        theirs = await t.make("a", "files")
        listed = (await t.ask("operator", "GET", "/files")).json()["data"]
        assert [each["id"] for each in listed] == [theirs]
        mine = await t.make("operator", "files")
        assert t.owner(mine) is None


async def test_paths_that_nobody_knows_are_refused_with_the_way_out(shared: Tenants) -> None:
    answer = await shared.ask("a", "GET", "/brand_new/thing_1234567")
    assert answer.status_code == 403
    assert "--isolation off" in answer.json()["error"]["message"]
    assert (await shared.ask("operator", "GET", "/models")).status_code != 403


async def test_a_body_that_names_no_model_gets_none(tmp_path: Path) -> None:
    async with tenants(tmp_path) as t:
        for who in ("a", "operator"):
            await t.ask(who, "POST", "/vector_stores", json={"name": "x"})
            assert t.store.provider.seen[-1].json == {"name": "x"}


async def test_default_keys_store_nothing_on_record(tmp_path: Path) -> None:
    async with tenants(tmp_path) as t:
        t.keys["default"] = t.gateway.key
        answer = await t.ask("default", "POST", "/responses", json={"model": "m", "input": "x"})
        assert answer.status_code == 200
        assert t.owner(answer.json()["id"]) is None


async def test_errors_have_the_shape_of_the_callers_sdk(shared: Tenants) -> None:
    anthropic = {"anthropic-version": "2023-06-01"}
    error = (await shared.ask("a", "GET", "/files/file_0123456789", headers=anthropic)).json()
    assert (error["type"], error["error"]["type"]) == ("error", "not_found_error")
    error = (await shared.ask("a", "GET", "/responses/resp_0123456789")).json()["error"]
    assert error["message"] == "Response with id 'resp_0123456789' not found."


async def test_what_an_own_object_made_is_ones_own(tmp_path: Path) -> None:
    async with tenants(tmp_path) as t:
        batch = await t.make("a", "batches")
        output = t.store.put("files", "file-", object="file")["id"]
        t.store.objects["batches"][batch].update(status="completed", output_file_id=output)
        assert (await t.ask("a", "GET", f"/files/{output}")).status_code == 404
        await t.ask("a", "GET", f"/batches/{batch}")
        assert (await t.ask("a", "GET", f"/files/{output}")).status_code == 200
        assert (await t.ask("b", "GET", f"/files/{output}")).status_code == 404


async def test_things_below_an_own_object_are_reached_through_it(shared: Tenants) -> None:
    thread, other = await shared.make("a", "threads"), await shared.make("b", "threads")
    message = (
        await shared.ask("a", "POST", f"/threads/{thread}/messages", json={"role": "user", "content": "x"})
    ).json()
    assert (await shared.ask("a", "GET", f"/threads/{thread}/messages/{message['id']}")).status_code == 200

    def asked() -> list[str]:
        return [seen.path for seen in shared.store.provider.seen if seen.path.endswith(message["id"])]

    sent = len(asked())
    assert (await shared.ask("b", "GET", f"/threads/{thread}/messages/{message['id']}")).status_code == 404
    assert (await shared.ask("b", "GET", f"/threads/{other}/messages/{message['id']}")).status_code == 404
    assert len(asked()) == sent


async def test_a_key_moved_in_the_database_reaches_nothing_of_the_other_project(tmp_path: Path) -> None:
    async with tenants(tmp_path) as t:
        theirs = await t.make("b", "files")
        write(tmp_path, "UPDATE keys SET project_id = (SELECT project_id FROM keys WHERE name = 'b') WHERE name = 'a'")
        assert (await t.ask("a", "GET", f"/files/{theirs}")).status_code == 404
        assert (await t.ask("b", "GET", f"/files/{theirs}")).status_code == 200
