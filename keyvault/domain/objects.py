"""What a provider stores for its account: the kinds of objects, and the API paths that reach them.

A table, read once. `{file}` in a path is the id of a file, which must belong to whoever asks; `{.message}` is the id of
something that lies below the object before it, which vouches for it. A path that is not here is not relayed for keys
that see only their own project's objects. Sources: the paths of the official SDKs (openai 3.54, anthropic 2.12) and
platform.openai.com/docs/api-reference, docs.claude.com/en/api. Left out on purpose, because what they reach cannot be
told from the request: evals and stored prompts (they read an account's logs by filter), administration, realtime and
video. Known endpoints of `keyvault.domain.endpoints` that may store something are handled by their dialect.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """What the gateway knows of an object."""

    STORED = "stored"
    PENDING = "pending"
    """Work that is paid for when it is done, and is not done as far as we know."""
    SETTLED = "settled"
    """Such work, once it has been booked."""


BATCHES: Final = frozenset({"batch", "message_batch"})
"""Kinds of work that has prices of its own."""
DEFERRED: Final = "deferred"
"""What the ledger says in place of a dialect of work that is paid for when it is done."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object at a provider and whose it is."""

    object_id: str
    upstream: str
    kind: str
    project_id: int
    key_id: int
    generation: int
    credential_id: int | None
    """With which credential of the upstream it was made: what depends on one account stays on it."""
    created_ms: int
    state: State = State.STORED
    parent: str | None = None
    model: str | None = None
    due_ms: int | None = None


class Action(StrEnum):
    """What an operation does."""

    CREATE = "create"
    """Its answer is a new object, or a list of new ones."""
    LIST = "list"
    """Its answer lists objects of the account: only own ones are shown."""
    READ = "read"
    CHANGE = "change"
    KEEP = "keep"
    """A change by which more is kept, or longer, than what was paid for."""
    DELETE = "delete"
    """The last object of the path is gone afterwards."""
    RUN = "run"
    """A model works within the answer; what it costs is booked at once."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object. `unknown`: what the provider says of an id it does not know."""

    unknown: str = "No such object: {id}"
    settles_at: str | None = None
    """Paid for when it is done: where to ask whether it is."""
    makes: Mapping[str, str] = field(default_factory=dict)
    """Where, in an answer about one, the ids of objects stand that came with it → their kinds."""


_MADE_BY_A_RESPONSE: Final = {
    "output[].id": "item",
    "output[].container_id": "container",
    "output[].content[].annotations[].container_id": "container",
}

KINDS: Final[Mapping[str, Kind]] = {
    "file": Kind("No such File object: {id}"),
    "upload": Kind("No such Upload object: {id}", makes={"file.id": "file"}),
    "part": Kind("No such Upload part: {id}"),
    "batch": Kind(
        "No batch found with id '{id}'.",
        settles_at="/batches/{id}",
        makes={"output_file_id": "file", "error_file_id": "file"},
    ),
    "response": Kind("Response with id '{id}' not found.", settles_at="/responses/{id}", makes=_MADE_BY_A_RESPONSE),
    "item": Kind("Item with id '{id}' not found."),
    "conversation": Kind("Conversation with id '{id}' not found."),
    "vector_store": Kind("Vector store {id} not found."),
    "file_batch": Kind("No file batch found with id '{id}'."),
    "assistant": Kind("No assistant found with id '{id}'."),
    "thread": Kind("No thread found with id '{id}'."),
    "message": Kind(
        "No message found with id '{id}'.",
        makes={
            "content[].image_file.file_id": "file",
            "content[].text.annotations[].file_path.file_id": "file",
        },
    ),
    "run": Kind(
        "No run found with id '{id}'.", settles_at="/threads/{parent}/runs/{id}", makes={"thread_id": "thread"}
    ),
    "fine_tuning_job": Kind("Could not find fine tune: {id}", makes={"result_files[]": "file"}),
    "container": Kind("Container with id '{id}' not found."),
    "container_file": Kind("Container file with id '{id}' not found."),
    "chat_completion": Kind("Chat completion with id '{id}' not found."),
    "message_batch": Kind("Message batch with id '{id}' not found.", settles_at="/messages/batches/{id}"),
    "answer": Kind(makes={"container.id": "container"}),
}
"""`answer` is an Anthropic message: not stored itself, though the container it ran in is."""

_OPERATIONS: Final = """
POST   /files                                              create file
GET    /files                                              list   file
GET    /files/{file}                                       read   file
DELETE /files/{file}                                       delete file
GET    /files/{file}/content                               read
POST   /uploads                                            create upload
POST   /uploads/{upload}/parts                             create part
POST   /uploads/{upload}/complete                          change upload
POST   /uploads/{upload}/cancel                            change upload
POST   /batches                                            create batch
GET    /batches                                            list   batch
GET    /batches/{batch}                                    read   batch
POST   /batches/{batch}/cancel                             change batch
POST   /responses/input_tokens                             read
POST   /responses/compact                                  run
GET    /responses/{response}                               read   response
DELETE /responses/{response}                               delete response
POST   /responses/{response}/cancel                        change response
GET    /responses/{response}/input_items                   read
POST   /conversations                                      create conversation
GET    /conversations/{conversation}                       read   conversation
POST   /conversations/{conversation}                       change conversation
DELETE /conversations/{conversation}                       delete conversation
POST   /conversations/{conversation}/items                 create item
GET    /conversations/{conversation}/items                 read
GET    /conversations/{conversation}/items/{.item}         read
DELETE /conversations/{conversation}/items/{.item}         change
POST   /vector_stores                                      create vector_store
GET    /vector_stores                                      list   vector_store
GET    /vector_stores/{vector_store}                       read   vector_store
POST   /vector_stores/{vector_store}                       keep   vector_store
DELETE /vector_stores/{vector_store}                       delete vector_store
POST   /vector_stores/{vector_store}/search                run
POST   /vector_stores/{vector_store}/files                 keep
GET    /vector_stores/{vector_store}/files                 read
GET    /vector_stores/{vector_store}/files/{file}          read
POST   /vector_stores/{vector_store}/files/{file}          change
DELETE /vector_stores/{vector_store}/files/{file}          change
GET    /vector_stores/{vector_store}/files/{file}/content  read
POST   /vector_stores/{vector_store}/file_batches          create file_batch
GET    /vector_stores/{vector_store}/file_batches/{file_batch}        read
POST   /vector_stores/{vector_store}/file_batches/{file_batch}/cancel change
GET    /vector_stores/{vector_store}/file_batches/{file_batch}/files  read
POST   /assistants                                         create assistant
GET    /assistants                                         list   assistant
GET    /assistants/{assistant}                             read   assistant
POST   /assistants/{assistant}                             change assistant
DELETE /assistants/{assistant}                             delete assistant
POST   /threads                                            create thread
POST   /threads/runs                                       create run
GET    /threads/{thread}                                   read   thread
POST   /threads/{thread}                                   change thread
DELETE /threads/{thread}                                   delete thread
POST   /threads/{thread}/messages                          create message
GET    /threads/{thread}/messages                          read   message
GET    /threads/{thread}/messages/{.message}               read   message
POST   /threads/{thread}/messages/{.message}               change message
DELETE /threads/{thread}/messages/{.message}               delete message
POST   /threads/{thread}/runs                              create run
GET    /threads/{thread}/runs                              read   run
GET    /threads/{thread}/runs/{.run}                       read   run
POST   /threads/{thread}/runs/{.run}                       change run
POST   /threads/{thread}/runs/{.run}/cancel                change run
POST   /threads/{thread}/runs/{.run}/submit_tool_outputs   change run
GET    /threads/{thread}/runs/{.run}/steps                 read
GET    /threads/{thread}/runs/{.run}/steps/{.step}         read
POST   /fine_tuning/jobs                                   create fine_tuning_job
GET    /fine_tuning/jobs                                   list   fine_tuning_job
GET    /fine_tuning/jobs/{fine_tuning_job}                 read   fine_tuning_job
POST   /fine_tuning/jobs/{fine_tuning_job}/cancel          change fine_tuning_job
POST   /fine_tuning/jobs/{fine_tuning_job}/pause           change fine_tuning_job
POST   /fine_tuning/jobs/{fine_tuning_job}/resume          change fine_tuning_job
GET    /fine_tuning/jobs/{fine_tuning_job}/events          read
GET    /fine_tuning/jobs/{fine_tuning_job}/checkpoints     read
POST   /containers                                         create container
GET    /containers                                         list   container
GET    /containers/{container}                             read   container
DELETE /containers/{container}                             delete container
POST   /containers/{container}/files                       create container_file
GET    /containers/{container}/files                       read
GET    /containers/{container}/files/{.container_file}     read
DELETE /containers/{container}/files/{.container_file}     delete container_file
GET    /containers/{container}/files/{.container_file}/content read
GET    /chat/completions                                   list   chat_completion
GET    /chat/completions/{chat_completion}                 read   chat_completion
POST   /chat/completions/{chat_completion}                 change chat_completion
DELETE /chat/completions/{chat_completion}                 delete chat_completion
GET    /chat/completions/{chat_completion}/messages        read
POST   /messages/batches                                   create message_batch
GET    /messages/batches                                   list   message_batch
GET    /messages/batches/{message_batch}                   read   message_batch
POST   /messages/batches/{message_batch}/cancel            change message_batch
DELETE /messages/batches/{message_batch}                   delete message_batch
GET    /messages/batches/{message_batch}/results           read
"""

ID: Final = re.compile(r"[A-Za-z0-9_-]{1,200}\Z")
"""What ids of objects are made of, at both providers."""


_KIND_BY_PREFIX: Final[Mapping[str, str]] = {
    "asst": "assistant",
    "batch": "batch",
    "cfile": "container_file",
    "chatcmpl": "chat_completion",
    "cntr": "container",
    "container": "container",
    "conv": "conversation",
    "file": "file",
    "ftjob": "fine_tuning_job",
    "msg": "message",
    "msgbatch": "message_batch",
    "resp": "response",
    "run": "run",
    "thread": "thread",
    "upload": "upload",
    "vs": "vector_store",
    "vsfb": "file_batch",
}


def kind_of(object_id: str) -> str | None:
    """What an id says of its object's kind; None where it says nothing we know."""
    return _KIND_BY_PREFIX.get(re.split("[-_]", object_id, maxsplit=1)[0])


@dataclass(frozen=True, slots=True)
class Operation:
    """One method and path of the table. `kind`: what its answer is about, empty where it is none of our kinds."""

    method: str
    parts: tuple[str, ...]
    action: Action
    kind: str

    def matches(self, segments: tuple[str, ...]) -> bool:
        return len(segments) == len(self.parts) and all(
            part == segment if not part.startswith("{") else bool(ID.match(segment))
            for part, segment in zip(self.parts, segments, strict=True)
        )

    def ids(self, segments: tuple[str, ...]) -> tuple[tuple[str, str, bool], ...]:
        """The ids in a path that matches: kind, id, and whether it must be known to us."""
        pairs = zip(self.parts, segments, strict=True)
        return tuple((p.strip("{.}"), s, not p.startswith("{.")) for p, s in pairs if p.startswith("{"))


def _read(line: str) -> Operation:
    method, path, action, *kind = line.split()
    return Operation(method, tuple(path.split("/")[1:]), Action(action), kind[0] if kind else "")


OPERATIONS: Final = tuple(_read(line) for line in _OPERATIONS.strip().splitlines())


def find_operation(method: str, path: str) -> tuple[Operation, tuple[tuple[str, str, bool], ...]] | None:
    """The operation of a path below `/v1` with the ids in it, None for a path that is not in the table.

    Literal segments come before ids, as the table's order has it; an encoded, empty or odd segment matches none.
    """
    segments = tuple(path.split("/")[1:])
    for operation in OPERATIONS:
        if operation.method == method and operation.matches(segments):
            return operation, operation.ids(segments)
    return None
