"""What a budget, a limit, a balance or a suspension applies to, and who pays for a request."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from enum import StrEnum

from keyvault.domain.names import check_name, shown, split_project
from keyvault.errors import UsageError

_PATTERN = re.compile(r"[\x21-\x2b\x2d-\x7e]{1,200}\Z")


class ScopeKind(StrEnum):
    CUSTOMER = "customer"
    PROJECT = "project"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class Scope:
    """`customer:acme`, `project:acme/web`, `key:ci-bot`: the way people name it."""

    kind: ScopeKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class ScopeRef:
    """The same, found: rows are held by id, so that a new name changes nothing."""

    kind: ScopeKind
    id: int
    name: str
    """As it was created; for a project `acme/web`."""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays for a request: a project and its customer, the key's own unless the key may name another."""

    customer_id: int
    customer: str
    project_id: int
    project: str
    """Its own name, without the customer."""
    multiplier_ppm: int

    @property
    def path(self) -> str:
        return f"{self.customer}/{self.project}"


def matches_alias(pattern: str, alias: str) -> bool:
    """Whether a rule for some models is about this one; an empty pattern is about all."""
    return not pattern or fnmatch.fnmatchcase(alias, pattern)


def check_pattern(text: str) -> str:
    """A pattern of aliases, empty for all of them. Raises `UsageError`."""
    if text and not _PATTERN.match(text):
        raise UsageError(f"not a pattern of model names: {shown(text)}", hint="write it like gpt-5* or claude-*")
    return "" if text == "*" else text


def parse_scope(text: str) -> Scope:
    """`key:ci-bot` → Scope. Raises `UsageError`."""
    kind, colon, name = text.partition(":")
    hint = "write it as customer:NAME, project:CUSTOMER/PROJECT or key:NAME"
    if not colon or kind not in set(ScopeKind):
        raise UsageError(f"not a scope: {shown(text)}", hint=hint)
    if kind == ScopeKind.PROJECT:
        name = "/".join(split_project(name))
    else:
        check_name(kind, name)
    return Scope(ScopeKind(kind), name)
