"""Whether the proxy can listen or is ready, and whether the upstreams answer."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Final

from keyvault.domain.vault import Compartment, Upstream
from keyvault.domain.workers import Worker
from keyvault.errors import SealError
from keyvault.home import Home
from opsconsole.cli.checks.finding import Finding, State

_PATIENCE_SECONDS: Final = 10.0
_READY_SECONDS: Final = 3.0
_REFUSALS: Final = (401, 403)


def port(home: Home) -> Iterator[Finding]:
    """The port is free, or taken by our own worker, which is ready."""
    from importlib.metadata import version

    ours, live = version("opsconsole"), home.workers.live()
    for worker in live:
        yield _readiness(worker)
        if worker.version != ours:
            text = f"the running proxy is version {worker.version}, this program is {ours}"
            yield Finding("versions", State.WARNING, text, "restart gwctl serve")
    if not live:
        yield _free("listen", home.settings.listen)
        yield _free("admin", home.settings.admin)


def _readiness(worker: Worker) -> Finding:
    """What a worker of this machine says of itself; one elsewhere is known by its heartbeat alone."""
    who = f"serving on {worker.listen}, process {worker.pid}"
    if worker.host != socket.gethostname():
        return Finding("worker", State.OK, f"{who} on {worker.host}")
    reason = _not_ready(worker.admin)
    if reason is None:
        return Finding("worker", State.OK, f"{who}, ready")
    return Finding("worker", State.FAILED, f"{who}, is not ready: {reason}", "see its log, then restart gwctl serve")


def _not_ready(admin: str) -> str | None:
    """Why the worker behind this admin address should get no requests, None when it should."""
    host, _, number = admin.rpartition(":")
    connection = http.client.HTTPConnection(host.strip("[]"), int(number), timeout=_READY_SECONDS)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return None if answer.status == 200 else str(json.loads(answer.read())["status"])
    except (OSError, http.client.HTTPException) as error:
        return f"{admin}: {(getattr(error, 'strerror', None) or str(error) or type(error).__name__).lower()}"
    except (ValueError, KeyError, TypeError):
        return f"{admin} answers with http status {answer.status}"
    finally:
        connection.close()


def _free(name: str, address: str) -> Finding:
    host, _, port = address.rpartition(":")
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host.strip("[]"), int(port)))
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "not an address"
        return Finding(
            "port", State.FAILED, f"serve.{name} {address}: {reason.lower()}", f"gwctl serve --{name} HOST:PORT"
        )
    return Finding("port", State.OK, f"{address} is free")


def providers(home: Home) -> Iterator[Finding]:
    upstreams = [upstream for upstream in home.upstreams.list() if not upstream.disabled]
    if not upstreams:
        yield Finding("upstreams", State.WARNING, "none yet", "gwctl upstreams create openai --provider openai")
    if upstreams and Compartment.UPSTREAM not in home.vault.trust().compartments:
        yield Finding("upstreams", State.SKIPPED, "calling them needs a slot of scope all")
        return
    for upstream in upstreams:
        yield _answer(home, upstream)


def _answer(home: Home, upstream: Upstream) -> Finding:
    """Whether an upstream lists its models: an authenticated call that costs nothing."""
    from keyvault.vault.testing import list_models

    try:
        opened = home.upstreams.open(upstream.name)
    except SealError:  # which record it is was said already
        return Finding("upstream", State.SKIPPED, f"{upstream.name} needs its record")
    result = list_models(opened, _PATIENCE_SECONDS, environ=home.environ)
    if result.ok:
        return Finding("upstream", State.OK, f"{upstream.name} answers in {result.latency_ms} ms")
    if result.status is not None and result.status not in _REFUSALS:
        # It answers, but lists no models: that is no reason to call it broken.
        return Finding("upstream", State.OK, f"{upstream.name} answers, with http status {result.status}")
    text = f"{upstream.name}: {result.error_text or result.error_code}"
    return Finding("upstream", State.FAILED, text, f"gwctl upstreams test {upstream.name}")
