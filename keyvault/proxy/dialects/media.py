"""Images in a request's body, and what it only refers to: read where one of their marks stands in the bytes.

Only `data:image/` is an image in the body. Any other address in a part of a message, whatever the part is called, leads
to what nobody has measured: pages, minutes, a file at the provider.

Of a field that stands twice in one object every value counts: parsers differ on which one they take.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from keyvault.domain.endpoints import Dialect
from keyvault.errors import Refusal
from keyvault.proxy.dialects.fields import JsonBody
from keyvault.proxy.dialects.marks import Marks
from keyvault.proxy.dialects.plain import TALK
from keyvault.proxy.dialects.references import every_value, refers_to_item, texts

MEDIA_MARKS: Final = Marks(
    begins=(b"file_id",),
    ends=(
        b"image", b"_url", b"audio", b"file", b"file_id", b"document", b"_reference", b"video", b"_call", b"reasoning",
    ),
)  # fmt: skip
"""One of these stands in every body with media: mostly the end of a part's type, or of a field's name."""

_REFERS: Final = frozenset(
    {
        "container_upload", "file", "image_generation_call", "input_file", "input_video", "item_reference", "video",
        "video_url",
    }
)  # fmt: skip
"""Types of what is fetched, kept at the provider, or billed by its pages or seconds."""
_OF_MEDIA: Final = ("_url", "audio", "document", "file", "image", "video")
"""How the types of media end, and the names of their fields."""
_OF_IMAGES: Final = frozenset({"image", "image_url", "images", "input_image", "mask", "url"})
"""Fields with an image that lies in the body."""
_PICTURES: Final = frozenset({"image", "images", "mask"})
"""What a request for images starts from."""
_WORDS: Final = frozenset({"detail", "format", "type"})
_ADDRESS: Final = re.compile(r"[\x00-\x20]*(?:[a-z][a-z0-9+.-]{0,30}://|(?:https?|gs|s3|file|data):)", re.IGNORECASE)
_INLINE: Final = frozenset({"text", "content"})
"""Sources of a document that are plain text."""


@dataclass(slots=True)
class Media:
    """What was found."""

    images: int = 0
    size: int = 0
    """Bytes of the body that are images."""
    unbounded: str | None = None
    """What is referred to and not in the body."""


NO_MEDIA: Final = Media()


def media_in(dialect: Dialect, body: JsonBody) -> Media:
    """The media of a body. Raises `Refusal` 400 where it is nested too deeply."""
    fields, talk = body.fields, [name for name in body.looked_through if name in TALK]
    found = Media()
    try:
        if dialect is Dialect.IMAGES:
            for name in fields.keys() - {"prompt"}:
                _pictures(name, _read(bytes(fields[name])), found)
        else:
            for name in talk:
                if MEDIA_MARKS.stand_in(value := bytes(fields[name])):
                    _look(_read(value), found)
        if dialect is Dialect.RESPONSES and "input" in talk and refers_to_item(bytes(fields["input"])):
            found.unbounded = "item_reference"
    except RecursionError:
        raise Refusal(400, "invalid_json", "could not read the request body: it is nested too deeply") from None
    return found if found.images or found.unbounded else NO_MEDIA


def _read(value: bytes) -> Any:
    return json.loads(value, object_pairs_hook=every_value)


def _pictures(name: str, value: Any, found: Media) -> None:
    """Of a request for images: `name` is that of the field that holds the value."""
    if isinstance(value, list):
        for item in value:
            _pictures(name, item, found)
    elif isinstance(value, dict):
        for field, item in value.items():
            if field not in _WORDS:
                _pictures(field if field in _OF_IMAGES or field.startswith("file_id") else name, item, found)
    elif isinstance(value, str) and (name in _PICTURES or name.startswith("file_id") or _ADDRESS.match(value)):
        _image(value, name, found)


def _look(value: Any, found: Media) -> None:
    if isinstance(value, list):
        for item in value:
            _look(item, found)
    elif isinstance(value, dict):
        kinds = texts(value.get("type"))
        _part(value, kinds, found)
        for name, item in value.items():
            if not (kinds == ["tool_use"] and name == "input"):  # whatever a tool was called with
                _look(item, found)


def _part(part: Mapping[str, Any], kinds: list[str], found: Media) -> None:
    if named := _REFERS.intersection(kinds):
        found.unbounded = min(named)
    for name in ("file_id", "file_ids"):
        if texts(part.get(name)):
            found.unbounded = name
    of_media = any(kind.endswith(_OF_MEDIA) for kind in kinds)
    for name, value in part.items():
        if name.endswith(_OF_MEDIA) or of_media:
            for address in _addresses(name, value):
                _image(address, name, found)
    if any(texts(each.get("id")) for each in _objects(part.get("audio"))):
        found.unbounded = "audio"  # an answer that was spoken before
    if "reasoning" in kinds and texts(part.get("id")) and not _is_text(part.get("encrypted_content")):
        found.unbounded = "reasoning"  # what was thought before, kept at the provider
    if "image" in kinds:
        _source(part.get("source"), "image", found)
    if "document" in kinds and not _INLINE.issuperset(_source_kinds(part.get("source"))):
        found.unbounded = "document"


def _addresses(name: str, value: Any) -> Iterator[str]:
    """The addresses in a field of a part: `"…"`, or `{"url": "…"}`, or `{"data": "…"}`."""
    for text in texts(value):
        if name.endswith("_url") or _ADDRESS.match(text):
            yield text
    if name.endswith(_OF_MEDIA):
        for each in _objects(value):
            for field, inner in each.items():
                yield from (text for text in texts(inner) if field == "url" or _ADDRESS.match(text))


def _image(address: str, name: str, found: Media) -> None:
    if name in _OF_IMAGES and address[:11].lower() == "data:image/":
        found.images += 1
        found.size += len(address)
    else:
        found.unbounded = name


def _source(source: Any, name: str, found: Media) -> None:
    for each in _objects(source):
        data = texts(each.get("data"))
        drawn = all(kind.lower().startswith("image/") for kind in texts(each.get("media_type")))
        if texts(each.get("type")) == ["base64"] and data and drawn and not any(map(_ADDRESS.match, data)):
            found.images += len(data)
            found.size += sum(map(len, data))
        else:
            found.unbounded = name


def _source_kinds(source: Any) -> list[str]:
    return [kind for each in _objects(source) for kind in texts(each.get("type"))] or ["missing"]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in (value if isinstance(value, list) else (value,)) if isinstance(item, dict)]
