"""Images in a request's body, and what it only refers to: read where one of their marks stands in the bytes.

Of a field that stands twice in one object every value counts: parsers differ on which one they take.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from msgspec import Raw

from keyvault.errors import Refusal
from keyvault.proxy.dialects.marks import Marks
from keyvault.proxy.dialects.references import every_value, texts

MEDIA_MARKS: Final = Marks(
    begins=(b"file_id",),
    ends=(b"image", b"_url", b"file", b"file_id", b"document", b"_reference", b"video", b"_call"),
)
"""One of these stands in every body with media: mostly the end of a part's type."""

_TALK: Final = ("messages", "input", "system", "instructions", "prompt")
_REFERS: Final = frozenset(
    {
        "container_upload", "file", "image_generation_call", "input_file", "input_video", "item_reference", "video",
        "video_url",
    }
)  # fmt: skip
"""Types of what is fetched, kept at the provider, or billed by its pages or seconds."""
_URLS: Final = ("image_url", "video_url", "audio_url", "file_url")
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


def media_in(fields: Mapping[str, Raw], raw: bytes) -> Media:
    """The media of a body's messages or input. Raises `Refusal` 400 where it is nested too deeply."""
    found = Media()
    try:
        for name in _TALK:
            if name in fields and MEDIA_MARKS.stand_in(value := bytes(fields[name])):
                _look(json.loads(value, object_pairs_hook=every_value), found)
    except RecursionError:
        raise Refusal(400, "invalid_json", "could not read the request body: it is nested too deeply") from None
    return found


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
    for name in _URLS:
        for url in _urls(part.get(name)):
            _image(url, name, found)
    if "image" in kinds:
        _source(part.get("source"), "image", found)
    if "document" in kinds and not _INLINE.issuperset(_source_kinds(part.get("source"))):
        found.unbounded = "document"


def _urls(value: Any) -> list[str]:
    """The texts that are the URL of a part: `"…"`, or `{"url": "…"}`."""
    inner = [each.get("url") for each in _objects(value)]
    return texts(value) + [url for each in inner for url in texts(each)]


def _image(url: str, name: str, found: Media) -> None:
    if name == "image_url" and url[:5].lower() == "data:":
        found.images += 1
        found.size += len(url)
    else:
        found.unbounded = name


def _source(source: Any, name: str, found: Media) -> None:
    for each in _objects(source):
        data = texts(each.get("data"))
        if texts(each.get("type")) == ["base64"] and data:
            found.images += len(data)
            found.size += sum(map(len, data))
        else:
            found.unbounded = name


def _source_kinds(source: Any) -> list[str]:
    return [kind for each in _objects(source) for kind in texts(each.get("type"))] or ["missing"]


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in (value if isinstance(value, list) else (value,)) if isinstance(item, dict)]
