"""A request of the past, what came of it then, and what is expected of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from keyvault.domain.endpoints import ENDPOINTS, Dialect
from keyvault.domain.ledger import Usage
from opsconsole.staging.asking import Answer

_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is known of the answer that a request got. What was not logged is None."""

    status: int | None = None
    answer: Answer | None = None
    """The answer itself, where its body was logged."""
    first_content_ms: float | None = None
    total_ms: float | None = None
    usage: Usage | None = None
    cost_pico: int | None = None
    target: str | None = None
    """Who served it, as the log calls them."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request that can be sent again."""

    id: str
    """Unique within its file, and the same each time it is read."""
    path: str
    """Below the API's version, such as `/chat/completions`."""
    body: bytes
    """A JSON object, with the bytes of its values as they were logged."""
    recorded: Recorded | None = None
    task: str | None = None
    """The class of task it belongs to."""
    expected: Mapping[str, Any] | None = None
    """What a right answer is, for a comparison."""
    line: int = 0
    """Where it stands in its file, from 1."""

    @property
    def dialect(self) -> Dialect:
        endpoint = ENDPOINTS.get(self.path)
        return endpoint.dialect if endpoint else Dialect.OTHER

    def field(self, name: str) -> Any:
        """A field of the body, decoded; None where it has none."""
        raw = _fields.decode(self.body).get(name)
        return None if raw is None else msgspec.json.decode(raw)

    @property
    def model(self) -> str | None:
        model = self.field("model")
        return model if isinstance(model, str) else None

    @property
    def stream(self) -> bool:
        return self.field("stream") is True

    def with_fields(self, **given: Any) -> bytes:
        """The body with some fields set; every other keeps its bytes. None takes a field out."""
        fields = _fields.decode(self.body)
        for name, value in given.items():
            fields.pop(name, None)
            if value is not None:
                fields[name] = msgspec.Raw(msgspec.json.encode(value))
        return msgspec.json.encode(fields)


@dataclass(frozen=True, slots=True)
class Unusable:
    """A line of which no request can be made."""

    line: int
    reason: str
