"""Before the probes: is there an API, does it take the key, which models has it, and what does it call a cap?

Each side is asked for its models and for one short answer, so that a wrong URL or key is one clear error and not forty
failed probes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keyvault.errors import Locked, NotFound, Unavailable, UsageError
from opsconsole.staging.asking import Answer, Asker, Place, said
from opsconsole.staging.checking import requests
from opsconsole.staging.checking.probes import Models

_PATH: Final = "/chat/completions"
_NEWER_CAP: Final = "max_completion_tokens"


@dataclass(frozen=True, slots=True)
class Named:
    """The models a person named; the others are found out."""

    chat: str | None = None
    embedding: str | None = None
    messages: str | None = None


ANY: Final = Named()


async def models_of(place: Place, named: Named, patience: float) -> Models:
    """The models to ask at a place. `patience`: seconds. Raises `Unavailable`, `Locked`, `UsageError`, `NotFound`."""
    async with Asker(place, timeout=patience) as asker:
        listed = await asker.ask("/models", method="GET")
        found = _names(listed if named.chat else _checked(place, listed))
        chat = named.chat or next((name for name in found if "embed" not in name.lower()), None)
        if chat is None:
            raise NotFound(f"{place.base_url} names no model", hint="--model NAME")
        models = Models(
            chat=chat,
            embedding=named.embedding or next((name for name in found if "embed" in name.lower()), None),
            messages=named.messages or chat,
        )
        first = _checked(place, await asker.ask(_PATH, requests.chat(models)))
    if first.status == 404:
        text = said(_PATH, first).error_text or "not found"
        raise NotFound(
            f"{place.base_url} has no model {chat!a}: {text}", hint="--model NAME; at --direct, --direct-model NAME"
        )
    if first.status == 400 and _NEWER_CAP in (said(_PATH, first).error_text or ""):
        return Models(models.chat, models.embedding, models.messages, _NEWER_CAP)
    return models


def _checked(place: Place, answer: Answer) -> Answer:
    """An answer of an API that lets us in, though it may be an error."""
    if answer.status is None:
        raise Unavailable(f"{place.base_url}: {answer.failure}", hint="check the URL, and that it is being served")
    if answer.status in (401, 403):
        text = said(_PATH, answer).error_text
        raise Locked(f"{place.base_url} refuses the key: {answer.status} {text or ''}".rstrip(": "))
    if 300 <= answer.status < 400:
        raise UsageError(f"{place.base_url} sends elsewhere: {answer.status}", hint="give the URL it sends to")
    if answer.json is None and not answer.events:
        kind = answer.header("content-type") or "no content type"
        raise UsageError(
            f"{place.base_url} does not answer as an API: {answer.status}, {kind}",
            hint="give the base URL of an API, such as https://api.openai.com/v1",
        )
    return answer


def _names(listed: Answer) -> list[str]:
    data = listed.json.get("data") if isinstance(listed.json, dict) else None
    found = [model.get("id") for model in data if isinstance(model, dict)] if isinstance(data, list) else []
    return [name for name in found if isinstance(name, str)]
