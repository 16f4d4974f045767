"""What an upstream may be made of: its base URL, credential, headers and certificate file.

Everything here raises `UsageError` before anything is written, and never shows a credential.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from keyvault.domain.addresses import check_base_url
from keyvault.domain.providers import Preset
from keyvault.domain.vault import Upstream
from keyvault.errors import UsageError
from keyvault.secrets import Secret

MAX_SECRET_BYTES: Final = 8192
_SECRET = re.compile(r"[\x21-\x7e]+\Z")
_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}\Z")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]{0,512}\Z")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,31}\Z|\Z")
_FORBIDDEN_HEADERS: Final = frozenset(
    {"connection", "content-length", "content-type", "cookie", "host", "keep-alive", "proxy-authorization"}
    | {"te", "trailer", "transfer-encoding", "upgrade"}
)


def choose_base_url(chosen: Preset, given: str | None, allow_private: bool) -> str:
    url = given or chosen.base_url
    if url is None:
        raise UsageError(f"provider {chosen.name} needs a base URL", hint=f"--base-url {chosen.base_url_form}")
    return check_base_url(url, allow_private)


def check_secret(chosen: Preset, secret: Secret | None) -> None:
    """Refuse what can be no credential, without showing it."""
    if secret is None:
        if chosen.needs_secret:
            raise UsageError(f"provider {chosen.name} needs a credential", hint="--secret-stdin or --secret-file FILE")
        return
    text = secret.reveal()
    if not text:
        raise UsageError("the credential is empty")
    if len(text) > MAX_SECRET_BYTES:
        raise UsageError(f"the credential is longer than {MAX_SECRET_BYTES} characters")
    if not _SECRET.match(text):
        raise UsageError(
            "the credential has a space, a line break or a character that is not plain ASCII",
            hint="pass the credential alone, on one line",
        )


def check_headers(upstream: Upstream) -> None:
    if upstream.has_secret and not _HEADER.match(upstream.auth_header):
        raise UsageError("not a valid name for the credential's header", hint="such as authorization or x-api-key")
    if not _SCHEME.match(upstream.auth_scheme):
        raise UsageError("not a valid authentication scheme", hint="such as Bearer")
    for name, value in upstream.extra_headers.items():
        if not _HEADER.match(name) or not _HEADER_VALUE.match(value):
            raise UsageError(f"not a valid header: {name[:64]!a}")
    names = {upstream.auth_header, *upstream.extra_headers}
    if forbidden := names & _FORBIDDEN_HEADERS:
        raise UsageError(f"the gateway sets this header itself: {min(forbidden)}")


def choose_ca_file(path: str | None) -> str | None:
    if path is None:
        return None
    if not Path(path).is_file():
        raise UsageError(f"no such certificate file: {path}")
    return str(Path(path).absolute())
