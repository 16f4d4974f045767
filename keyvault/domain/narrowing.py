"""Which requests somebody looks at: of one customer, project, key, model or target, of some hours, only failed ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Only requests of these; what is empty narrows nothing. Customer and project are those who pay; model and target
    are of the last attempt."""

    customer: str = ""
    project: str = ""
    """`acme/web`"""
    key: str = ""
    model: str = ""
    target: str = ""
    """`openai/gpt-5`"""
    failed: bool = False
    since: datetime | None = None
    until: datetime | None = None
    """Up to, but without, this; None: and those that come."""

    @property
    def names(self) -> Mapping[str, str]:
        """The dimensions that are narrowed, with the value of each."""
        of = {
            "customer": self.customer,
            "project": self.project,
            "key": self.key,
            "model": self.model,
            "target": self.target,
        }
        return {dimension: value for dimension, value in of.items() if value}

    def to(self, dimension: str, value: str) -> Narrowing:
        """The same, of one value of a dimension."""
        changed: dict[str, Any] = {dimension: value}
        return replace(self, **changed)


EVERY_REQUEST = Narrowing()
