"""What a request body is to the gateway, whatever its format: a few head fields, and a way to write it anew."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from keyvault.errors import Refusal

DROPPED: Final = frozenset({"api_key", "api_base", "base_url"})
"""Fields other gateways let a client choose an address or a credential by. Here they go nowhere."""

REFUSED: Final = frozenset({"models"})
"""Fields by which a provider would choose among models itself, past the route and the key's model list."""

MAX_MODEL_CHARACTERS: Final = 200
MAX_TOKENS: Final = 10_000_000
MAX_CHOICES: Final = 128


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """The head fields of a request body."""

    model: str | None = None
    """None: the request names none, which some APIs allow."""
    stream: bool = False
    output_cap: int | None = None
    """The most output tokens per choice the client asked for."""
    choices: int = 1
    """How many answers are generated, billed ones that are not returned included."""
    include_usage: bool = False
    """The client asked for the usage event of a stream itself."""
    background: bool = False
    """The provider is to work on after its answer, which then says nothing of usage."""
    added_bytes: int = 0
    """The most by which a route's parameters have made it longer than what the client sent."""

    @abstractmethod
    def rewritten(self, model: str | None, *, add_usage: bool = False) -> bytes:
        """The body for a target's `model` (None: leave it as it is), asking for a stream's usage where `add_usage`."""

    def with_parameters(self, defaults: Mapping[str, Any], overrides: Mapping[str, Any]) -> Body:
        """The body with fields that a route sets, as `effective` says; a body that has no such fields as it is."""
        return self


class OpaqueBody(Body, frozen=True, kw_only=True):
    """A body of an unknown path that is neither JSON nor a form: relayed byte for byte."""

    raw: bytes

    def rewritten(self, model: str | None, *, add_usage: bool = False) -> bytes:
        return self.raw


def check_model(name: str) -> str:
    """`name` if it can go into a ledger, a log and a header. Raises `Refusal`."""
    if not name:
        raise missing_model()
    if len(name) > MAX_MODEL_CHARACTERS or not name.isprintable():
        raise wrong("model", "invalid_value", f"expected at most {MAX_MODEL_CHARACTERS} printable characters")
    return name


def check_count(field: str, value: int, lowest: int, highest: int) -> int:
    """`value` if it lies between the two. Raises `Refusal`."""
    if value < lowest:
        raise wrong(
            field, "integer_below_min_value", f"expected a value >= {lowest}, but got {str(value)[:20]} instead"
        )
    if value > highest:
        raise wrong(
            field, "integer_above_max_value", f"expected a value <= {highest}, but got {str(value)[:20]} instead"
        )
    return value


def check_name(field: str, heads: frozenset[str]) -> bool:
    """Whether a field is kept. Raises `Refusal` for one that another parser could take for a head field.

    Parsers that ignore case (Go's does, with Unicode folding) would read `Model` where we read `model`.
    """
    folded = field.casefold()
    if folded in DROPPED:
        return False
    if folded in REFUSED:
        raise wrong(field, "unsupported_parameter", "the gateway's routes choose among models")
    if folded != field and folded in heads:
        raise wrong(field, "unknown_parameter", f"did you mean '{folded}'?")
    return True


def missing_model() -> Refusal:
    return Refusal(400, "missing_required_parameter", "you must provide a model parameter", param="model")


def wrong(field: str, code: str, what: str) -> Refusal:
    """The 400 that names a field."""
    return Refusal(400, code, f"invalid value for {field[:60]!a}: {what}", param=field[:60])


def wrong_type(field: str, expected: str, got: str) -> Refusal:
    """The 400 for a field of another type, in the words OpenAI's own API has for it."""
    message = f"invalid type for {field[:60]!a}: expected {expected}, but got {got} instead"
    return Refusal(400, "invalid_type", message, param=field[:60])
