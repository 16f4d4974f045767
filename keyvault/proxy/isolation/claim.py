"""What one request of an isolated key may touch, and where it must go: decided before anything is sent.

Every id it names must be on record as its own project's, at one upstream and one account of it; an id that is not is
answered as the provider answers one it does not know, whether or not it exists. A path that the table does not have is
refused.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

import msgspec

from keyvault.domain.endpoints import Dialect, Family
from keyvault.domain.objects import KINDS, Action, Operation, StoredObject, find_operation, kind_of
from keyvault.domain.routes import Target
from keyvault.errors import Refusal
from keyvault.proxy.admission import Call
from keyvault.proxy.asked import family_of
from keyvault.proxy.dialects.fields import JsonBody
from keyvault.proxy.isolation.naming import Named, named_in_body, named_in_query
from keyvault.proxy.tables import Tables
from keyvault.routing.planner import Planned
from keyvault.storage import objects as rows
from keyvault.storage.engine import Database

LARGE_BODY: Final = 256 * 1024
"""Bytes of a body from which on it is read in a thread."""
MAX_NAMED: Final = 5_000
"""Ids that one request may name."""

_BILLED: Final = frozenset({"container", "file_batch", "vector_store"})
"""Kinds whose keeping is paid for, by the session or the day."""

_DEAR: Final = frozenset({Action.RUN, Action.KEEP})

_KIND_OF_FIELD: Final[Mapping[str, str]] = {
    "assistant_id": "assistant",
    "batch_id": "batch",
    "container": "container",
    "container_id": "container",
    "conversation": "conversation",
    "conversation_id": "conversation",
    "file_id": "file",
    "file_ids": "file",
    "id": "item",
    "input_file_id": "file",
    "part_ids": "part",
    "previous_response_id": "response",
    "response_id": "response",
    "thread_id": "thread",
    "training_file": "file",
    "upload_id": "upload",
    "validation_file": "file",
    "vector_store_id": "vector_store",
    "vector_store_ids": "vector_store",
}


@dataclass(slots=True, eq=False)
class Claim:
    """What a request turned out to be."""

    operation: Operation | None
    """None: a known endpoint, which may store something as well."""
    kind: str
    """What the answer is about, empty where it is none of our kinds."""
    project_id: int
    creates: bool = False
    deferred: bool = False
    """What it starts is paid for when it is done. The place where a hard budget will refuse it."""
    upstream: str | None = None
    """The only one that can serve it; None: any."""
    parent: str | None = None
    last: str | None = None
    """The last id of the path."""
    own: dict[str, StoredObject] = field(default_factory=dict)
    """The objects on record that it names."""
    keeps: bool = False
    """It has something put into a vector store, which is paid for by the day."""
    recording: asyncio.Task[None] | None = None
    """What its stream has shown, on its way into the database."""

    @property
    def lists(self) -> bool:
        return self.operation is not None and self.operation.action is Action.LIST

    @property
    def whole(self) -> bool:
        """The answer is read before any of it goes on."""
        return self.creates or bool(self.kind)

    @property
    def free(self) -> bool:
        """Nothing is paid for the answer itself, nor for keeping what it makes."""
        if self.operation is None:
            return self.deferred
        action = self.operation.action
        billed = action in _DEAR or self.keeps or (action is Action.CREATE and self.kind in _BILLED)
        return not billed and self.kind != "fine_tuning_job"


class Claims:
    """Makes claims. For the event loop; what blocks runs in threads."""

    def __init__(self, database: Database, tables: Tables) -> None:
        self._database = database
        self._tables = tables

    async def claim(self, call: Call) -> Claim | None:
        """None where a request neither names nor makes anything that is stored. Raises `Refusal`."""
        found = find_operation(call.exchange.request.method, call.path) if call.endpoint is None else None
        if found is None and call.endpoint is None:
            if call.asks_for_models:
                _refuse_ids(call.exchange.request.target)
                return None
            raise _not_isolated(call)
        operation, in_path = found or (None, ())
        named = await self._named(call, operation, in_path)
        kind, creates = (operation.kind, operation.action is Action.CREATE) if operation else _stores(call)
        if operation is None and not creates and not named.must and not named.may:
            return None
        claim = Claim(operation, kind, call.caller.project_id, creates, keeps=named.keeps)
        claim.deferred = call.body.background or (creates and kind != "response" and _settles(kind))
        if claim.deferred and call.payer.project_id != call.caller.project_id:
            raise _paid_by_its_own()
        claim.parent = in_path[0][1] if in_path else None
        claim.last = in_path[-1][1] if in_path else None
        kinds = {each_id: each_kind for each_kind, each_id, _ in in_path}
        await asyncio.to_thread(self._own, claim, named, kinds)
        self._settle_on_account(call, claim)
        call.claim, call.asks_for_free = claim, call.asks_for_free or claim.free
        return claim

    def answer_empty(self, call: Call, claim: Claim) -> bool:
        """Answer a list of what a project has none of; False where the provider must be asked."""
        if not claim.lists or claim.upstream is not None:
            return False
        empty = {"object": "list", "data": [], "has_more": False, "first_id": None, "last_id": None}
        headers = [(b"content-type", b"application/json"), *call.headers]
        call.exchange.reply(200, headers, msgspec.json.encode(empty))
        return True

    def plan(self, call: Call, claim: Claim) -> tuple[Planned, ...]:
        """The targets to try: those at which the objects are that a request names. Raises `Refusal`."""
        planner = self._tables.planner
        if claim.upstream is None:
            pin = call.pin or (self._of_family(call) if call.model is None else None)
            return planner.plan(call.model, call.dialect, pin)
        at = claim.upstream
        if call.model is None or call.pin is not None:
            pin = call.pin or Target(at, "")
            chain = planner.plan(call.model, call.dialect, pin)
        else:
            chain = planner.plan(call.model, call.dialect, None)
        there = tuple(planned for planned in chain if planned.upstream.name == at)
        if not there and call.model is not None:
            there = planner.new_at(call.model, call.dialect, at)
        if not there:
            text = "what this request names is stored where its model is not served"
            raise Refusal(400, "stored_elsewhere", text)
        return there

    async def _named(self, call: Call, operation: Operation | None, in_path: Iterable[tuple[str, str, bool]]) -> Named:
        named, request = Named(), call.exchange.request
        for kind, each_id, must in in_path:
            if must:
                named.must[each_id] = kind
            else:
                named.may.add(each_id)
        if request.query:
            named_in_query(operation, request.query, named)
        reading = (call.body, request.body, request.header(b"content-type") or b"", named)
        if len(request.body) < LARGE_BODY:
            named_in_body(*reading, sure=operation is not None)
        else:
            await asyncio.to_thread(named_in_body, *reading, sure=operation is not None)
        if len(named.must) + len(named.may) > MAX_NAMED:
            raise Refusal(400, "too_many_references", f"the request names more than {MAX_NAMED} stored objects")
        return named

    def _own(self, claim: Claim, named: Named, kinds: Mapping[str, str]) -> None:
        """Look up what is named. Blocks. Raises `Refusal`."""
        with self._database.read() as tx:
            known = rows.find(tx, {*named.must, *named.may}) if named.must or named.may else []
            newest = rows.newest(tx, claim.project_id, claim.kind) if claim.lists and not named.must else None
        own = [each for each in known if each.project_id == claim.project_id]
        own += [newest] if newest is not None else []
        mine, theirs = {each.object_id for each in own}, {each.object_id for each in known}
        for each_id, name in named.must.items():
            if each_id not in mine:
                raise unknown(kinds.get(each_id) or _KIND_OF_FIELD.get(name, ""), each_id, name)
        for each_id in sorted(named.may & (theirs - mine)):
            raise unknown(kinds.get(each_id, ""), each_id, None)
        claim.upstream = _common(own, named.must or ([newest.object_id] if newest is not None else ()))
        claim.own = {each.object_id: each for each in own if each.upstream == claim.upstream}

    def _settle_on_account(self, call: Call, claim: Claim) -> None:
        """What depends on one account goes with the credential that made it, or the one that took its place."""
        chooser = self._tables.upstreams.get(claim.upstream or "")
        made_with = {each.credential_id for each in claim.own.values() if each.credential_id is not None}
        if chooser is None or not made_with:
            return
        if len({chooser.by_id(each) for each in made_with}) > 1:
            raise _apart("accounts")
        call.credential_id = max(made_with)

    def _of_family(self, call: Call) -> Target | None:
        """The one upstream that speaks as the client does, where there is exactly one."""
        wanted = Dialect.MESSAGES if family_of(call.exchange.request) is Family.ANTHROPIC else Dialect.CHAT
        speaking = [each for each in self._tables.serving() if wanted in each.dialects]
        return Target(speaking[0].name, "") if len(speaking) == 1 else None


def _refuse_ids(target: str) -> None:
    """Where models are asked for, no name is the id of an object."""
    for word in re.split(r"[^a-z0-9_-]+", unquote(target).lower()):
        if kind_of(word) is not None:
            raise Refusal(404, "model_not_found", f"the model {word[:100]!a} does not exist or you may not use it")


def _stores(call: Call) -> tuple[str, bool]:
    """What a known endpoint stores: a response unless told not to, a chat completion when told to, a container."""
    body = call.body
    if not isinstance(body, JsonBody):
        return "", False
    store = bytes(body.fields.get("store", b""))
    if call.dialect is Dialect.RESPONSES and (store != b"false" or body.background):
        return "response", True
    if call.dialect is Dialect.CHAT and store == b"true":
        return "chat_completion", True
    runs_code = "container" in body.fields or b"code_execution" in bytes(body.fields.get("tools", b""))
    if call.dialect is Dialect.MESSAGES and runs_code:
        return "answer", True
    return "", False


def _paid_by_its_own() -> Refusal:
    text = "work that ends later is paid by the key's own project: name no other payer for it"
    return Refusal(400, "payer_not_possible", text)


def _settles(kind: str) -> bool:
    return KINDS[kind].settles_at is not None


def _common(own: Iterable[StoredObject], ids: Iterable[str]) -> str | None:
    """The upstream at which all of these are; where the same ids are at several, the one of the newest."""
    places: dict[str, set[str]] = {each_id: set() for each_id in ids}
    newest: dict[str, int] = {}
    for each in own:
        if each.object_id in places:
            places[each.object_id].add(each.upstream)
            newest[each.upstream] = max(newest.get(each.upstream, 0), each.created_ms)
    if not places:
        return None
    common = set.intersection(*places.values())
    if not common:
        raise _apart("upstreams")
    return max(common, key=lambda name: (newest[name], name))


def _apart(what: str) -> Refusal:
    return Refusal(400, "stored_apart", f"the request names objects that are stored at different {what}")


def unknown(kind: str, each_id: str, param: str | None) -> Refusal:
    """What the provider says of an id that it does not know: the same for one that is not the caller's."""
    said = KINDS[kind].unknown if kind in KINDS else "No such object: {id}"
    return Refusal(404, "not_found", said.format(id=_shown(each_id)), param=param)


def _shown(each_id: str) -> str:
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in each_id[:200])


def _not_isolated(call: Call) -> Refusal:
    request = call.exchange.request
    return Refusal(
        403,
        "endpoint_not_isolated",
        f"whose objects {request.method} {request.path[:100]} reaches is not known; "
        "a key created with --isolation off may use every path",
        type="permission_error",
    )
