"""A provider that really stores what clients send it: one account, every kind of object, both APIs.

It trusts its one credential and nothing else, as a real account does: whoever gets through to it reaches every object.
`named` tells which ids a request made it look at.
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from tests.proxy.scripted import Line, Provider, Seen

PREFIXES = {
    "files": "file-",
    "uploads": "upload_",
    "batches": "batch_",
    "responses": "resp_",
    "conversations": "conv_",
    "vector_stores": "vs_",
    "assistants": "asst_",
    "threads": "thread_",
    "fine_tuning/jobs": "ftjob-",
    "containers": "cntr_",
    "chat/completions": "chatcmpl-",
    "messages/batches": "msgbatch_",
}
BELOW = {
    "parts": "part_",
    "items": "msg_",
    "messages": "msg_",
    "runs": "run_",
    "files": "cfile_",
    "file_batches": "vsfb_",
}
_ID = re.compile(
    r"(?:file|upload|part|batch|resp|conv|vs|vsfb|asst|thread|msg|run|ftjob|cntr|cfile|chatcmpl|msgbatch)[-_][0-9a-z]+"
)


@dataclass
class Store:
    """What the account holds: collection path → id → object."""

    objects: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    bodies: list[tuple[str, str, bytes]] = field(default_factory=list)
    provider: Provider = field(init=False)
    page: int = 20

    def __post_init__(self) -> None:
        self.provider = Provider(self.serve)

    def named(self) -> set[str]:
        """Every id that any request has shown to the provider."""
        shown = " ".join(unquote(seen.path) + " " + seen.body.decode("utf-8", "replace") for seen in self.provider.seen)
        return set(_ID.findall(shown))

    def put(self, collection: str, prefix: str, **values: Any) -> dict[str, Any]:
        number = next(self.numbers)
        made = {"id": f"{prefix}{number:06d}abcdef", "created_at": number, **values}
        self.objects.setdefault(collection, {})[made["id"]] = made
        return made

    async def serve(self, seen: Seen, line: Line) -> None:
        path, _, query = seen.path.partition("?")
        segments = path.removeprefix("/v1/").split("/")
        name = "/".join(segments[:2]) if "/".join(segments[:2]) in PREFIXES else segments[0]
        rest = segments[len(name.split("/")) :]
        status, answer = self.handle(seen.method, name, rest, query, seen.body)
        if isinstance(answer, list):
            await line.begin_stream()
            for event in answer:
                await line.piece(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
            await line.end_stream()
        else:
            await line.answer(status, answer)

    def handle(self, method: str, name: str, rest: list[str], query: str, body: bytes) -> tuple[int, Any]:
        fields = self.fields(body)
        if not rest or (name == "threads" and rest == ["runs"]):
            return self.collection(method, name, query, fields, rest)
        stored = self.objects.get(name, {}).get(rest[0])
        if name == "responses" and rest[0] in ("input_tokens", "compact"):
            return 200, {"object": "response.input_tokens", "input_tokens": 5}
        if stored is None:
            return 404, {"error": {"message": f"No such object: {rest[0]}", "type": "invalid_request_error"}}
        if len(rest) == 1:
            return self.one(method, name, rest[0], stored, fields)
        return self.below(method, f"{name}/{rest[0]}/{rest[1]}", rest[1:], query, fields, stored)

    def collection(
        self, method: str, name: str, query: str, fields: dict[str, Any], rest: list[str]
    ) -> tuple[int, Any]:
        if method == "GET":
            return 200, self.listing(self.objects.get(name, {}), query, anthropic=name == "messages/batches")
        if rest == ["runs"]:
            thread = self.put("threads", "thread_", object="thread")
            return 200, self.run(thread["id"])
        if name == "responses":
            return self.response(fields)
        more: dict[str, Any] = {"object": name.rstrip("s"), "model": fields.get("model")}
        if name == "batches":
            more |= {"object": "batch", "status": "validating", "input_file_id": fields.get("input_file_id")}
        if name == "messages/batches":
            more = {"type": "message_batch", "processing_status": "in_progress"}
        if name == "chat/completions":
            more |= {
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}]
            }
            more |= {"object": "chat.completion", "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
        return 200, self.put(name, PREFIXES[name], **more)

    def response(self, fields: dict[str, Any]) -> tuple[int, Any]:
        usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
        background = fields.get("background") is True
        made = self.put(
            "responses",
            "resp_",
            object="response",
            model=fields.get("model"),
            background=background,
            status="queued" if background else "completed",
            output=[]
            if background
            else [{"id": f"msg_{next(self.numbers):06d}item", "type": "message", "content": []}],
            usage=None if background else usage,
        )
        if not fields.get("stream"):
            return 200, made
        begun = {**made, "status": "in_progress", "output": [], "usage": None}
        return 200, [
            {"type": "response.created", "response": begun},
            {"type": "response.output_text.delta", "delta": "hi"},
            {"type": "response.completed", "response": made},
        ]

    def one(self, method: str, name: str, key: str, stored: dict[str, Any], fields: dict[str, Any]) -> tuple[int, Any]:
        if method == "DELETE":
            del self.objects[name][key]
            return 200, {"id": key, "deleted": True}
        if method == "POST":
            stored.update({"metadata": fields.get("metadata")})
        return 200, stored

    def below(
        self, method: str, where: str, rest: list[str], query: str, fields: dict[str, Any], stored: dict[str, Any]
    ) -> tuple[int, Any]:
        kind = rest[0]
        if kind in ("cancel", "pause", "resume"):
            stored["status"] = "cancelled"
            return 200, stored
        if kind == "complete":
            return 200, {**stored, "status": "completed", "file": self.put("files", "file-", object="file")}
        if kind in ("content", "results", "search", "input_items", "events", "checkpoints"):
            return 200, {"object": "list", "data": [], "has_more": False}
        if len(rest) == 1 and method == "POST":
            if where.startswith("vector_stores") and kind == "files":
                made = {"id": fields["file_id"], "object": "vector_store.file"}
                self.objects.setdefault(where, {})[made["id"]] = made
                return 200, made
            if kind == "runs":
                return 200, self.run(where.split("/")[1])
            made = self.put(where, BELOW[kind], object=f"thread.{kind[:-1]}" if where.startswith("threads") else kind)
            return 200, {"object": "list", "data": [made]} if kind == "items" else made
        if len(rest) == 1:
            return 200, self.listing(self.objects.get(where, {}), query)
        found = self.objects.get(where, {}).get(rest[1])
        if found is None:
            return 404, {"error": {"message": f"No such object: {rest[1]}", "type": "invalid_request_error"}}
        if method == "DELETE":
            del self.objects[where][rest[1]]
        return 200, found

    def run(self, thread: str) -> dict[str, Any]:
        return self.put(
            f"threads/{thread}/runs", "run_", object="thread.run", thread_id=thread, status="queued", model="m"
        )

    def listing(self, stored: dict[str, dict[str, Any]], query: str, *, anthropic: bool = False) -> dict[str, Any]:
        asked = parse_qs(query)
        ids = list(stored)[::-1]  # newest first
        after = asked.get("after_id" if anthropic else "after", [""])[-1]
        start = ids.index(after) + 1 if after in ids else 0
        limit = min(int(asked.get("limit", [str(self.page)])[-1]), self.page)
        shown = ids[start : start + limit]
        page = {
            "data": [stored[each] for each in shown],
            "has_more": start + limit < len(ids),
            "first_id": shown[0] if shown else None,
            "last_id": shown[-1] if shown else None,
        }
        return page if anthropic else {"object": "list", **page}

    @staticmethod
    def fields(body: bytes) -> dict[str, Any]:
        try:
            found = json.loads(body or b"{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}
