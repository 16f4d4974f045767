"""Which HTTP proxy the environment wants for an outgoing connection."""

from __future__ import annotations

from collections.abc import Mapping


def proxy_for(scheme: str, host: str, port: int, environ: Mapping[str, str]) -> str | None:
    """The proxy URL for an origin by `https_proxy`, `http_proxy`, `all_proxy` and `no_proxy`, lower case before upper
    case as curl reads them; None for a direct connection."""
    if _excepted(host.lower(), port, _read(environ, "no_proxy")):
        return None
    return _read(environ, f"{scheme}_proxy") or _read(environ, "all_proxy") or None


def _excepted(host: str, port: int, exceptions: str) -> bool:
    for entry in exceptions.lower().replace(",", " ").split():
        if entry == "*":
            return True
        name, _, only_port = entry.partition(":") if entry.count(":") == 1 else (entry, "", "")
        name = name.strip("[]").removeprefix("*").removeprefix(".")
        same_port = not only_port or only_port == str(port)
        if same_port and name and (host.strip("[]") == name or host.endswith("." + name)):
            return True
    return False


def _read(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name) or environ.get(name.upper()) or ""
