"""JSON bodies: the top level alone is decoded, to a field's name and its bytes.

The grammar is checked throughout by the decoder (no NaN, no trailing bytes, no lone surrogates); nesting is bounded by
the interpreter's own limit; bytes that are not UTF-8 are refused, since what they mean is up to the reader.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, Final

import msgspec
from msgspec import Raw

from keyvault.domain.endpoints import Dialect
from keyvault.errors import Refusal
from keyvault.proxy.dialects import bodies
from keyvault.proxy.dialects.bodies import Body, OpaqueBody, check_count, wrong_type
from keyvault.proxy.dialects.plain import NESTING, TALK, looked_through
from keyvault.proxy.dialects.usual import EVERYDAY, read_usual

_CAPS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")
CAP_FIELDS: Final[Mapping[Dialect, tuple[str, ...]]] = {
    Dialect.CHAT: ("max_tokens", "max_completion_tokens"),
    Dialect.COMPLETIONS: ("max_tokens",),
    Dialect.RESPONSES: ("max_output_tokens",),
    Dialect.MESSAGES: ("max_tokens",),
}
"""The fields that cap an answer, by dialect; another API's are not followed."""
_ALL_CAPS: Final = frozenset(_CAPS)
_COMPLETIONS: Final = Dialect.COMPLETIONS
"""A member by name: looking one up in its enum takes 0.1 µs."""
_HEADS: Final = frozenset({"model", "stream", "n", "best_of", "stream_options", "background", *_CAPS})
_MODEL_OPTIONAL: Final = frozenset({Dialect.IMAGES, Dialect.MODERATIONS, Dialect.OTHER})
_SPECIAL: Final = bodies.DROPPED | bodies.REFUSED
_KINDS: Final = {
    b'"': "a string",
    b"{": "an object",
    b"[": "an array",
    b"t": "a boolean",
    b"f": "a boolean",
    b"n": "null",
}


_fields = msgspec.json.Decoder(dict[str, Raw])
_values = msgspec.json.Decoder(list[Raw])
_text = msgspec.json.Decoder(str)
_encode = msgspec.json.Encoder().encode

_TRUE: Final = Raw(b"true")
_USAGE_OPTION: Final = Raw(b'{"include_usage":true}')


class JsonBody(Body, frozen=True, kw_only=True):
    """A JSON object, as its fields' names and bytes."""

    fields: dict[str, Raw]
    dialect: Dialect
    caps: tuple[str, ...]
    """The fields of the cap on output that the client set."""
    looked_through: tuple[str, ...]
    """The fields that may name what lies elsewhere; not talk that is nothing but text."""
    everyday: bool = False
    """There is nothing in it but `EVERYDAY` fields, and no media, reference or mark in these."""

    def rewritten(self, model: str | None, *, add_usage: bool = False) -> bytes:
        fields: dict[str, Any] = self.fields.copy()
        if model is not None:
            fields["model"] = model
        if add_usage:
            fields["stream_options"] = self._with_usage()
        return _encode(fields)

    def with_parameters(self, defaults: Mapping[str, Any], overrides: Mapping[str, Any]) -> Body:
        if self.dialect is Dialect.OTHER:
            return self
        caps = CAP_FIELDS.get(self.dialect, ())
        defaults, overrides = _capped_by(caps, defaults), _capped_by(caps, overrides)
        given = _present(self.fields, defaults.keys() | caps).keys()
        held = given | caps if given & frozenset(caps) else given
        out = overrides.keys() | _ALL_CAPS if overrides.keys() & _ALL_CAPS else overrides.keys()
        wanted = {name: value for name, value in defaults.items() if name not in held | out} | {**overrides}
        added = {name: Raw(_encode(value)) for name, value in wanted.items() if value is not None}
        kept = {name: raw for name, raw in self.fields.items() if name not in out}
        return _json_body(self.dialect, {**kept, **added}, added_bytes=len(_encode(added)))

    def _with_usage(self) -> Raw | dict[str, Raw]:
        options = self.fields.get("stream_options")
        if options is None or bytes(options) == b"null":
            return _USAGE_OPTION
        return {**_fields.decode(options), "include_usage": _TRUE}


def read_json(dialect: Dialect, body: bytes, *, only_objects: bool = True) -> Body:
    """The JSON body of a request. Raises `Refusal` 400; arrays and scalars pass unread unless `only_objects`."""
    fields = _decode(body, only_objects)
    if fields is None:
        return OpaqueBody(raw=body)
    everyday = EVERYDAY.issuperset(fields)
    kept = fields if everyday else _without_dropped(fields)
    return _usual_body(dialect, kept, body, everyday) or _json_body(dialect, kept)


def _usual_body(dialect: Dialect, fields: dict[str, Raw], body: bytes, everyday: bool) -> Body | None:
    """What `_json_body` makes of most bodies, in a third of the time; None for any other."""
    if dialect is _COMPLETIONS:  # of which a prompt may be several
        return None
    heads = read_usual(body)
    if heads is None:
        return None
    most: int | None = None
    caps: tuple[str, ...] = ()
    for name in CAP_FIELDS.get(dialect, _CAPS):
        if name in fields and (cap := getattr(heads, name)) is not None:
            most, caps = cap if most is None or cap > most else most, (*caps, name)
    nesting = [] if everyday else [n for n, v in fields.items() if n not in TALK and bytes(v).startswith(NESTING)]
    return JsonBody(
        fields=fields,
        dialect=dialect,
        caps=caps,
        looked_through=tuple(nesting),
        everyday=everyday,
        model=heads.model,
        stream=heads.stream or False,
        output_cap=most,
        choices=heads.n or 1,
        include_usage=(heads.stream_options is not None and heads.stream_options.include_usage) or False,
        background=heads.background or False,
    )


def _json_body(dialect: Dialect, fields: dict[str, Raw], added_bytes: int = 0) -> Body:
    heads = _present(fields, _HEADS)
    cap, caps = _output_cap(heads, CAP_FIELDS.get(dialect, _CAPS))
    return JsonBody(
        fields=fields,
        dialect=dialect,
        caps=caps,
        looked_through=looked_through(fields),
        model=_model(heads, dialect),
        stream="stream" in heads and _flag(heads, "stream"),
        output_cap=cap,
        choices=_choices(heads, fields, dialect),
        include_usage="stream_options" in heads and _include_usage(heads["stream_options"]),
        background="background" in heads and _flag(heads, "background"),
        added_bytes=added_bytes,
    )


def _decode(body: bytes, only_objects: bool) -> dict[str, Raw] | None:
    try:
        if not body.isascii():
            body.decode()
        return _fields.decode(body)
    except msgspec.ValidationError:
        if not only_objects:
            return None
        raise _not_json("expected a JSON object") from None
    except RecursionError:
        raise _not_json("it is nested too deeply") from None
    except UnicodeDecodeError:
        raise _not_json("it is not UTF-8") from None
    except msgspec.DecodeError as error:
        raise _not_json(str(error)[:100].lower() if body else "it is empty") from None


def _not_json(why: str) -> Refusal:
    return Refusal(400, "invalid_json", f"could not read the request body: {why}")


def _without_dropped(fields: dict[str, Raw]) -> dict[str, Raw]:
    names = "".join(fields)
    if names.islower() and names.isascii() and _SPECIAL.isdisjoint(fields):
        return fields
    suspects = [name for name in fields if name in _SPECIAL or not (name.isascii() and name.islower())]
    dropped = {name for name in suspects if not bodies.check_name(name, _HEADS)}
    return {name: value for name, value in fields.items() if name not in dropped} if dropped else fields


_Heads = dict[str, bytes]
"""The head fields that are there and not null."""


def _capped_by(caps: Sequence[str], parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters with a cap under the name it has in this dialect; without it where there is none."""
    own = {name: name if name in caps else caps[0] for name in parameters.keys() & _ALL_CAPS} if caps else {}
    return {own.get(name, name): value for name, value in parameters.items() if name in own or name not in _ALL_CAPS}


def _present(fields: dict[str, Raw], names: Set[str]) -> _Heads:
    found = {}
    for name in names & fields.keys():
        value = bytes(fields[name])
        if value != b"null":
            found[name] = value
    return found


def _model(heads: _Heads, dialect: Dialect) -> str | None:
    raw = heads.get("model")
    if raw is None:
        if dialect in _MODEL_OPTIONAL:
            return None
        raise bodies.missing_model()
    if not raw.startswith(b'"'):
        raise wrong_type("model", "a string", _kind(raw))
    return bodies.check_model(_text.decode(raw))


def _kind(raw: bytes) -> str:
    return _KINDS.get(raw[:1]) or ("an integer" if raw.lstrip(b"-").isdigit() else "a decimal number")


def _flag(heads: _Heads, name: str) -> bool:
    raw = heads.get(name)
    if raw is None or raw == b"false":
        return False
    if raw == b"true":
        return True
    raise wrong_type(name, "a boolean", _kind(raw))


def _count(heads: _Heads, name: str, lowest: int, highest: int) -> int | None:
    raw = heads.get(name)
    if raw is None:
        return None
    if not raw.lstrip(b"-").isdigit():
        raise wrong_type(name, "an integer", _kind(raw))
    if len(raw) > 20:
        raise bodies.wrong(name, "integer_above_max_value", f"expected a value <= {highest}")
    return check_count(name, int(raw), lowest, highest)


def _output_cap(heads: _Heads, followed: tuple[str, ...]) -> tuple[int | None, tuple[str, ...]]:
    """The largest of the caps given, and their fields: which of two a provider would follow is its own affair."""
    most: int | None = None
    given: tuple[str, ...] = ()
    for name in _CAPS:
        if name in heads:
            cap = _count(heads, name, 0, bodies.MAX_TOKENS)
            if cap is not None and name in followed:
                most, given = cap if most is None or cap > most else most, (*given, name)
    return most, given


def _choices(heads: _Heads, fields: dict[str, Raw], dialect: Dialect) -> int:
    choices = _count(heads, "n", 1, bodies.MAX_CHOICES) or 1 if "n" in heads else 1
    if dialect is not Dialect.COMPLETIONS:
        return choices
    best_of = _count(heads, "best_of", 1, bodies.MAX_CHOICES) or 1
    prompt = fields.get("prompt")
    return max(choices, best_of) * _prompts(None if prompt is None else bytes(prompt))


def _prompts(raw: bytes | None) -> int:
    """How many prompts a completions request holds: a text, texts, tokens, or several lists of tokens."""
    if raw is None or not raw.startswith(b"["):
        return 1
    prompts = _values.decode(raw)
    return len(prompts) if prompts and bytes(prompts[0])[:1] in (b'"', b"[") else 1


def _include_usage(raw: bytes) -> bool:
    if not raw.startswith(b"{"):
        raise wrong_type("stream_options", "an object", _kind(raw))
    return _flag(_present(_fields.decode(raw), frozenset({"include_usage"})), "include_usage")
