"""Request bodies: what the gateway must know of one, and the same body rewritten for a target.

Only the head fields (model, stream, output caps, choices, stream options) are decoded; every other value keeps its
bytes. Guarantees: a body is always written anew from what was read, so that a provider's parser cannot see another
model than ours did (a repeated key, an escaped name, `Model` for `model`); fields that carry an address or a credential
(`api_key`, `api_base`, `base_url`) are dropped, never honoured and never forwarded; whatever cannot be read is a
`Refusal` with status 400 or 415.
"""

from __future__ import annotations

from typing import Final

from keyvault.domain.endpoints import Dialect, Endpoint
from keyvault.errors import Refusal
from keyvault.proxy.dialects.bodies import Body, OpaqueBody
from keyvault.proxy.dialects.fields import read_json
from keyvault.proxy.dialects.multipart import read_multipart

__all__ = ["Body", "read_body"]

_JSON: Final = b"application/json"
_MULTIPART: Final = b"multipart/form-data"


def read_body(endpoint: Endpoint | None, content_type: bytes, body: bytes) -> Body:
    """The body of a request to `endpoint` (None: a path the gateway does not know). Raises `Refusal`.

    A known path takes JSON, or a form where the API has one. An unknown path takes anything; its model is read where
    the body is JSON or a form, since the key's model list and the route depend on it.
    """
    is_form = content_type != _JSON and content_type[:32].lower().lstrip().startswith(_MULTIPART)
    if endpoint is None:
        return _read_unknown(content_type, body, is_form)
    if is_form:
        if not endpoint.multipart:
            raise Refusal(415, "unsupported_content_type", f"{endpoint.path} takes application/json, not a form")
        return read_multipart(endpoint.dialect, content_type, body)
    return read_json(endpoint.dialect, body)


def _read_unknown(content_type: bytes, body: bytes, is_form: bool) -> Body:
    if is_form:
        return read_multipart(Dialect.OTHER, content_type, body)
    if b"json" in content_type.lower() and body:
        return read_json(Dialect.OTHER, body, only_objects=False)
    if body.lstrip()[:1] != b"{":
        return OpaqueBody(raw=body)
    try:
        return read_json(Dialect.OTHER, body)  # some providers read JSON whatever the content type says
    except Refusal:
        return OpaqueBody(raw=body)
