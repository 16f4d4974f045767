"""Forms (`multipart/form-data`, RFC 7578): find the head fields and write the form anew with another model.

Parsers differ on lenient forms, and a form read in two ways could name two models. So the reading is strict: CRLF line
ends, nothing before the first or after the last delimiter, the boundary nowhere else in the body, one
`Content-Disposition` a part with one plain `name`, each head field at most once, as plain text. Whatever is not of this
form is a `Refusal` 400. Files pass byte for byte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from keyvault.domain.endpoints import Dialect
from keyvault.errors import Refusal
from keyvault.proxy.dialects import bodies
from keyvault.proxy.dialects.bodies import Body, wrong_type

MAX_PARTS: Final = 128
MAX_PART_HEAD_BYTES: Final = 8 * 1024
MAX_VALUE_BYTES: Final = 1024

_HEADS: Final = frozenset({"model", "stream", "n"})
_MODEL_OPTIONAL: Final = frozenset({Dialect.IMAGES, Dialect.OTHER})
_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER: Final = re.compile(
    rb"[ \t]*;[ \t]*(" + _TOKEN + rb')=("(?:[^"\\\r\n]|\\[^"\r\n])*"|' + _TOKEN + rb")[ \t]*"
)
"""An escaped quote is not taken: parsers that know no escapes would see the value end there."""
_BOUNDARY_PARAMETER: Final = re.compile(
    rb"[ \t]*;[ \t]*(" + _TOKEN + rb')=("[^"\\\r\n]*"|[^\s";,]+)[ \t]*'
)  # clients leave characters unquoted that ought to be quoted, such as `:` or `=`
_BOUNDARY: Final = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]\Z")
_HEADER: Final = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([^\r\n]*)\Z")


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its field's name and where it lies in the body."""

    name: str
    start: int
    """Where its delimiter begins."""
    value: int
    """Where its content begins."""
    end: int
    """Where its content ends."""
    plain: bool
    """Text as it stands: no file name, no transfer encoding, no other character set."""


class FormBody(Body, frozen=True, kw_only=True):
    """A form as it was sent, with where to splice."""

    raw: bytes
    boundary: bytes
    model_span: tuple[int, int] | None
    dropped: tuple[tuple[int, int], ...] = ()
    """What is left out, in order."""

    def rewritten(self, model: str | None, *, add_usage: bool = False) -> bytes:
        edits = [(start, end, b"") for start, end in self.dropped]
        first = b""
        if model is not None and self.model_span is not None:
            edits.append((*self.model_span, model.encode()))
        elif model is not None:
            first = self._part("model", model)
        return first + _spliced(self.raw, sorted(edits))

    def _part(self, name: str, value: str) -> bytes:
        return b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (
            self.boundary,
            name.encode(),
            value.encode(),
        )


def read_multipart(dialect: Dialect, content_type: bytes, body: bytes) -> Body:
    """The form of a request. Raises `Refusal` 400."""
    boundary = _boundary(content_type)
    parts = _parts(body, b"--" + boundary)
    heads: dict[str, Part] = {}
    dropped = []
    for part in parts:
        if not bodies.check_name(part.name, _HEADS):
            dropped.append((part.start, part.end + 2))
        elif part.name in heads:
            raise _bad(f"the field '{part.name}' is there twice")
        elif part.name in _HEADS:
            heads[part.name] = part
    values = {name: _text(part, body) for name, part in heads.items()}
    if "model" not in values and dialect not in _MODEL_OPTIONAL:
        raise bodies.missing_model()
    return FormBody(
        raw=body,
        boundary=boundary,
        model_span=(heads["model"].value, heads["model"].end) if "model" in heads else None,
        dropped=tuple(dropped),
        model=bodies.check_model(values["model"]) if "model" in values else None,
        stream=_flag("stream", values.get("stream")),
        choices=_count("n", values.get("n")),
    )


def form_fields(content_type: bytes, body: bytes) -> list[tuple[str, str | None]]:
    """Name and text of each part of a form, in order; None for a file, and for what is no short plain text."""
    found: list[tuple[str, str | None]] = []
    for part in _parts(body, b"--" + _boundary(content_type)):
        short = part.plain and part.end - part.value <= MAX_VALUE_BYTES
        found.append((part.name, _text(part, body) if short else None))
    return found


def weighed(form: FormBody) -> tuple[int, int]:
    """How many bytes of a form are fields of text, and how many files it holds."""
    parts = _parts(form.raw, b"--" + form.boundary)
    return sum(part.end - part.value for part in parts if part.plain), sum(not part.plain for part in parts)


def _bad(why: str) -> Refusal:
    return Refusal(400, "invalid_form", f"could not read the form: {why}")


def _boundary(content_type: bytes) -> bytes:
    found = [value for name, value in _parameters(content_type, _BOUNDARY_PARAMETER) if name == b"boundary"]
    if len(found) != 1:
        raise _bad("the content type must have one boundary")
    boundary = found[0]
    if not _BOUNDARY.match(boundary):
        raise _bad("the boundary must have 1 to 70 plain characters")
    return boundary


def _parameters(value: bytes, pattern: re.Pattern[bytes]) -> list[tuple[bytes, bytes]]:
    """The parameters behind the first word of a header's value, names in lower case, quotes taken off."""
    position = value.find(b";")
    found = []
    while 0 <= position < len(value):
        match = pattern.match(value, position)
        if match is None:
            raise _bad("a header's parameters cannot be read")
        text = match[2]
        found.append((match[1].lower(), text[1:-1] if text.startswith(b'"') else text))
        position = match.end()
    return found


def _parts(body: bytes, delimiter: bytes) -> list[Part]:
    """All parts in order, every occurrence of the delimiter accounted for."""
    if not body.startswith(delimiter):
        raise _bad("it does not begin with its boundary")
    parts: list[Part] = []
    start = 0
    while True:
        after = start + len(delimiter)
        if body.startswith(b"--", after):
            break
        if len(parts) == MAX_PARTS:
            raise _bad(f"it has more than {MAX_PARTS} parts")
        if not body.startswith(b"\r\n", after):
            raise _bad("its boundary is not alone on a line")
        end = body.find(b"\r\n" + delimiter, after)
        if end < 0:
            raise _bad("its last boundary is missing")
        parts.append(_part(body, start, after + 2, end))
        start = end + 2
    if body[after + 2 :] not in (b"", b"\r\n"):
        raise _bad("something follows its last boundary")
    if body.count(delimiter) != len(parts) + 1:
        raise _bad("its boundary occurs within a part")
    return parts


def _part(body: bytes, start: int, head_start: int, end: int) -> Part:
    head_end = body.find(b"\r\n\r\n", head_start, min(end, head_start + MAX_PART_HEAD_BYTES))
    if head_end < 0:
        raise _bad("a part has no head, or a very long one")
    disposition: list[bytes] = []
    plain = True
    for line in body[head_start:head_end].split(b"\r\n"):
        match = _HEADER.match(line)
        if match is None:
            raise _bad("a part's header cannot be read")
        name, value = match[1].lower(), match[2]
        if name == b"content-disposition":
            disposition.append(value)
        else:
            plain = plain and _leaves_text(name, value)
    if len(disposition) != 1:
        raise _bad("a part must have one Content-Disposition")
    name_text, is_file = _disposition(disposition[0])
    return Part(name_text, start, head_end + 4, end, plain and not is_file)


def _leaves_text(name: bytes, value: bytes) -> bool:
    """Whether a header lets the content be read as UTF-8 text."""
    if name == b"content-type":
        charset = dict(_parameters(value, _PARAMETER)).get(b"charset", b"utf-8").lower()
        return value.lower().startswith(b"text/plain") and charset in (b"utf-8", b"us-ascii")
    return name != b"content-transfer-encoding"


def _disposition(value: bytes) -> tuple[str, bool]:
    """The field's name, and whether the part is a file."""
    if value.partition(b";")[0].strip().lower() != b"form-data":
        raise _bad("a part is not form-data")
    parameters = _parameters(value, _PARAMETER)
    names = [text for name, text in parameters if name in (b"name", b"name*")]
    if len(names) != 1 or any(name == b"name*" for name, _ in parameters):
        raise _bad("a part must have one plain name")
    if b"\\" in names[0]:
        raise _bad("a part's name has an escape in it")
    try:
        name = names[0].decode()
    except UnicodeDecodeError:
        raise _bad("a part's name is not UTF-8") from None
    if name != name.strip():
        raise _bad("a part's name has space around it")
    return name, any(name.startswith(b"filename") for name, _ in parameters)


def _text(part: Part, body: bytes) -> str:
    if not part.plain or part.end - part.value > MAX_VALUE_BYTES:
        raise wrong_type(part.name, "a short plain text", "a file or an encoded part")
    try:
        return body[part.value : part.end].decode()
    except UnicodeDecodeError:
        raise _bad(f"the field '{part.name}' is not UTF-8") from None


def _flag(name: str, text: str | None) -> bool:
    match (text or "").strip().lower():
        case "" | "false" | "0":
            return False
        case "true" | "1":
            return True
    raise wrong_type(name, "a boolean", "a text")


def _count(name: str, text: str | None) -> int:
    if text is None or not text.strip():
        return 1
    if not re.fullmatch(r"-?[0-9]{1,18}", text.strip()):
        raise wrong_type(name, "an integer", "a text")
    return bodies.check_count(name, int(text), 1, bodies.MAX_CHOICES)


def _spliced(raw: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """`raw` with each span replaced; spans in order, not overlapping."""
    view = memoryview(raw)
    pieces: list[bytes | memoryview] = []
    position = 0
    for start, end, replacement in edits:
        pieces += (view[position:start], replacement)
        position = end
    pieces.append(view[position:])
    return b"".join(pieces)
