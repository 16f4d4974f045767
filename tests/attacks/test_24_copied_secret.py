"""24. A secret pickled, copied, JSON-encoded or put into a text: TypeError or masked, never the secret."""

from __future__ import annotations

import copy
import dataclasses
import json
import marshal
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from keyvault.secrets import Secret

CANARY = "hunter2-no-shape-of-a-key"


@dataclass(frozen=True, slots=True)
class Holder:
    name: str
    secret: Secret


COPIES: dict[str, Callable[[Any], Any]] = {
    "pickle": pickle.dumps,
    "pickle protocol 0": lambda value: pickle.dumps(value, protocol=0),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "json": json.dumps,
    "msgspec": msgspec.json.encode,
    "msgpack": msgspec.msgpack.encode,
    "asdict": lambda value: dataclasses.asdict(Holder("n", value)),
    "deepcopy of a list": lambda value: copy.deepcopy([value]),
    "pickle of a holder": lambda value: pickle.dumps(Holder("n", value)),
    "hash": hash,
    "set": lambda value: {value},
}


@pytest.mark.parametrize("made", COPIES)
def test_it_cannot_be_copied_or_encoded(made: str) -> None:
    with pytest.raises(TypeError) as caught:
        COPIES[made](Secret(CANARY))
    assert CANARY not in str(caught.value)


def test_marshal_does_not_know_it_either() -> None:
    with pytest.raises(ValueError, match="unmarshallable"):
        marshal.dumps(Secret(CANARY))  # type: ignore[arg-type]


TEXTS: dict[str, Callable[[Secret], str]] = {
    "str": str,
    "repr": repr,
    "f-string": lambda secret: f"{secret}",
    "f-string with !r": lambda secret: f"{secret!r}",
    "f-string with a width": lambda secret: f"{secret:>40}",
    "format": lambda secret: "{0} {0!s} {0!r}".format(secret),  # noqa: UP032 - the method is what is tried
    "percent": lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - likewise
    "in a container": lambda secret: str({"a": [secret, (secret,)]}),
    "in a dataclass": lambda secret: repr(Holder("n", secret)),
    "in an exception": lambda secret: repr(KeyError(secret)) + str(ValueError("x", secret)),
    "json with a default": lambda secret: json.dumps({"a": secret}, default=str),
    "join of its parts": lambda secret: "".join(map(str, [secret])),
    "dir": lambda secret: str(dir(secret)) + str(type(secret).__dict__),
}


@pytest.mark.parametrize("text", TEXTS)
def test_it_is_masked_in_every_text(text: str) -> None:
    assert CANARY not in TEXTS[text](Secret(CANARY))


def test_it_has_no_dictionary_to_look_into() -> None:
    with pytest.raises(TypeError):
        vars(Secret(CANARY))
