"""Who is compared: no proxy at all, nginx, this gateway, and the peers that are installed here."""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.benchmarks import upstream as provider_module
from tests.gateway import Gateway, serving

PATH: Final = "/v1/chat/completions"
MODELS: Final = ("bench-whole", "bench-stream", "bench-open")
_LIMITS: Final = ("--rpm", "100m", "--tpm", "100b", "--parallel", "100k")
_MONEY: Final = (
    "limits set customer:acme --rpm 100m --tpm 100b --parallel 100k",
    "budgets set customer:acme 900000usd/month",
    "budgets set project:acme/web 90000usd/day --model bench-*",
    "balances top-up customer:acme 900000 --reason benchmark",
)
_NGINX: Final = """
daemon off; master_process off; worker_processes 1; pid {directory}/nginx.pid; error_log /dev/null;
events {{ worker_connections 8192; }}
http {{
  access_log off; client_max_body_size 64m; client_body_buffer_size 1m; keepalive_requests 100000000;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  upstream provider {{ server 127.0.0.1:{upstream}; keepalive 1024; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection "";
                  proxy_buffering off; proxy_read_timeout 600s; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Contender:
    """Something that answers at `origin`. `pid` is its process, None for no proxy at all."""

    name: str
    origin: str
    pid: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    prefix: str = ""
    """Goes before the model's name."""

    @property
    def url(self) -> str:
        return self.origin + PATH


@contextlib.contextmanager
def provider(*tls: str) -> Iterator[int]:
    """The port of a running upstream; `tls`: certificate and key files."""
    options = ["--cert", tls[0], "--key", tls[1]] if tls else []
    with subprocess.Popen(
        [sys.executable, "-m", provider_module.__name__, *options], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        try:
            yield int(child.stdout.readline().split()[-1])
        finally:
            child.kill()


@contextlib.contextmanager
def nginx(directory: Path, upstream: int) -> Iterator[Contender]:
    port = _free_port()
    configuration = directory / "nginx.conf"
    configuration.write_text(_NGINX.format(directory=directory, upstream=upstream, port=port))
    command = [shutil.which("nginx") or "nginx", "-e", "/dev/null", "-p", str(directory), "-c", str(configuration)]
    with _child(command, port) as pid:
        yield Contender("nginx proxy_pass", f"http://127.0.0.1:{port}", pid)


@contextlib.contextmanager
def gateway(directory: Path, upstream: int, ca_file: Path | None = None) -> Iterator[Contender]:
    """This gateway with everything on: routes, limits of each kind, budgets, a balance, prices, the ledger durable
    before dispatch and before the end. Nothing of it is ever used up."""
    made = Gateway(directory / "home")
    scheme, options = ("https", ["--ca-file", str(ca_file)]) if ca_file else ("http", [])
    made.create_upstream("bench", "openai", f"{scheme}://localhost:{upstream}/v1", "sk-up", *options)
    for model in MODELS:
        made.set_price(f"bench/{model}")
    key = made.create_key("bench", "--project", "acme/web", "--create", "--budget", "900000usd/month", *_LIMITS)
    for command in _MONEY:
        made.gwctl(*command.split(), "--yes")
    routes = directory / "routes.toml"
    routes.write_text("".join(f'[routes."{model}"]\ntargets = ["bench/{model}"]\n' for model in MODELS))
    made.gwctl("routes", "apply", "--file", str(routes))
    with serving(made):
        name = "gateway, TLS upstream" if ca_file else "gateway"
        yield Contender(name, made.origin, made.pid, {"authorization": f"Bearer {key}"})
        made.stop()


def litellm_path() -> str | None:
    """LiteLLM's command: `$LITELLM`, else the one on the path."""
    return os.environ.get("LITELLM") or shutil.which("litellm")


@contextlib.contextmanager
def litellm(directory: Path, upstream: int) -> Iterator[Contender]:
    """LiteLLM's proxy with a master key, without a database."""
    port = _free_port()
    lines = ["general_settings: {master_key: sk-litellm}", "litellm_settings: {telemetry: false}", "model_list:"]
    for model in MODELS:
        base = f"http://127.0.0.1:{upstream}/v1"
        lines.append(
            f"  - {{model_name: {model}, litellm_params: {{model: openai/{model}, api_base: {base}, api_key: k}}}}"
        )
    configuration = directory / "litellm.yaml"
    configuration.write_text("\n".join(lines))
    command = [litellm_path() or "", "--config", str(configuration), "--port", str(port), "--host", "127.0.0.1"]
    offline = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    with _child(command, port, wait=120, **offline) as pid:
        yield Contender("LiteLLM proxy", f"http://127.0.0.1:{port}", pid, {"authorization": "Bearer sk-litellm"})


def portkey_path() -> str | None:
    """Portkey's built server: `$PORTKEY`, the path of its `start-server.js`."""
    return os.environ.get("PORTKEY") if shutil.which("node") else None


@contextlib.contextmanager
def portkey(directory: Path, upstream: int) -> Iterator[Contender]:
    """Portkey's open gateway, headless."""
    port = _free_port()
    command = ["node", portkey_path() or "", f"--port={port}", "--headless"]
    with _child(command, port, wait=30, TRUSTED_CUSTOM_HOSTS="127.0.0.1,localhost") as pid:
        headers = {
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1",
            "authorization": "Bearer k",
        }
        yield Contender("Portkey gateway", f"http://127.0.0.1:{port}", pid, headers)


def certificate(directory: Path) -> tuple[Path, Path]:
    """A self-signed certificate for localhost and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = directory / "cert.pem", directory / "key.pem"
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key_file.write_bytes(key.private_bytes(*pem))
    return certificate_file, key_file


@contextlib.contextmanager
def _child(command: list[str], port: int, *, wait: float = 10, **environment: str) -> Iterator[int]:
    """A server in a child process, once its port accepts connections."""
    quiet = subprocess.DEVNULL
    child = subprocess.Popen(command, env={**os.environ, **environment}, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        _await_port(port, wait, child)
        yield child.pid
    finally:
        child.terminate()
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _await_port(port: int, wait: float, child: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + wait
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if child.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
