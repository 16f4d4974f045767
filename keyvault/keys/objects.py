"""Who owns what is stored at providers, as the operator sees and changes it.

Keys make objects and the proxy records them; what was there before, or was made by another way, belongs to nobody until
it is assigned here. Nothing here touches the objects themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

from keyvault import audit
from keyvault.clock import Clock
from keyvault.domain.keys import Project
from keyvault.domain.names import not_found, split_project
from keyvault.domain.objects import ID, KINDS, State, StoredObject, kind_of
from keyvault.errors import NotFound, UsageError
from keyvault.storage import customers as customer_rows
from keyvault.storage import objects as rows
from keyvault.storage import upstreams as upstream_rows
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.objects import OwnedObject

NO_KEY = 0
"""The key of an object that was assigned by hand."""


class Objects:
    """The service behind `gwctl objects`. An object is named `UPSTREAM/ID`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def list(
        self, *, project: str | None = None, kind: str | None = None, pending: bool = False, limit: int = 100
    ) -> Sequence[OwnedObject]:
        """The newest objects first. Raises `NotFound` for an unknown project, `UsageError` for an unknown kind."""
        _check_kind(kind)
        with self._database.read() as tx:
            return rows.listed(
                tx,
                project_id=None if project is None else _project(tx, project).id,
                kind=kind,
                state=State.PENDING.value if pending else None,
                limit=limit,
            )

    def assign(self, name: str, project: str, *, kind: str | None = None) -> StoredObject:
        """Give an object to a project, whoever had it. `kind`: where the id does not tell it."""
        upstream, object_id = split_object(name)
        _check_kind(kind)
        with self._database.change() as tx:
            owner = _project(tx, project)
            found = self._assigned(tx, _upstream(tx, upstream), object_id, owner, kind)
            rows.replace(tx, found)
            audit.record(
                tx, self._clock, "objects.assign", f"project:{owner.path}", upstream=found.upstream, object=object_id
            )
        return found

    def forget(self, name: str) -> None:
        """Take an object from its owner: it belongs to nobody then. Raises `NotFound`."""
        upstream, object_id = split_object(name)
        with self._database.write() as tx:
            if not rows.forget(tx, _upstream(tx, upstream), object_id):
                raise NotFound(f"no such object on record: {upstream}/{object_id[:70]}", hint="gwctl objects list")
            audit.record(tx, self._clock, "objects.forget", f"upstream:{upstream}", object=object_id)

    def _assigned(
        self, tx: Transaction, upstream: str, object_id: str, owner: Project, kind: str | None
    ) -> StoredObject:
        before = next((found for found in rows.find(tx, [object_id]) if found.upstream == upstream), None)
        known = kind or (before.kind if before else kind_of(object_id))
        if known is None:
            raise UsageError(f"what kind of object is {object_id[:70]}?", hint=f"--kind {'|'.join(sorted(KINDS))}")
        return StoredObject(
            object_id=object_id,
            upstream=upstream,
            kind=known,
            project_id=owner.id,
            key_id=before.key_id if before else NO_KEY,
            generation=before.generation if before else 0,
            credential_id=before.credential_id if before else None,
            created_ms=before.created_ms if before else self._clock.now_ms(),
            state=before.state if before else State.STORED,
            parent=before.parent if before else None,
            model=before.model if before else None,
            due_ms=before.due_ms if before else None,
        )


def split_object(name: str) -> tuple[str, str]:
    """`openai/file-abc` → upstream and id. Raises `UsageError`."""
    upstream, slash, object_id = name.partition("/")
    if not (upstream and slash and ID.match(object_id)):
        raise UsageError(f"not an object: {name[:70]!a}", hint="write it as UPSTREAM/ID, such as openai/file-abc123")
    return upstream, object_id


def _check_kind(kind: str | None) -> None:
    if kind is not None and kind not in KINDS:
        raise UsageError(f"no such kind of object: {kind[:70]!a}", hint=f"one of {', '.join(sorted(KINDS))}")


def _project(tx: Transaction, path: str) -> Project:
    customer, name = split_project(path)
    found = customer_rows.find_project(tx, customer, name)
    if found is None:
        known = (project.path for project in customer_rows.list_projects(tx))
        raise not_found("project", path, known, otherwise="gwctl projects list")
    return found


def _upstream(tx: Transaction, name: str) -> str:
    found = upstream_rows.find(tx, name)
    if found is None:
        raise not_found(
            "upstream", name, (each.name for each in upstream_rows.all_upstreams(tx)), otherwise="gwctl upstreams list"
        )
    return found.name
