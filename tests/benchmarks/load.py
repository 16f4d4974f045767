"""Load on one contender: wrk where installed, else our own client; the same figures from both."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

_LUA: Final = """
wrk.method = "POST"
wrk.body = io.open(%(body)s, "rb"):read("*a")
%(headers)s
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\\nRESULT {"requests": %%d, "seconds": %%.6f, "errors": %%d, "p50_ms": %%.4f, "p99_ms": %%.4f}\\n',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What came of one run."""

    requests: int
    seconds: float
    errors: int
    p50_ms: float
    p99_ms: float


def prompt(model: str, size: int, *, stream: bool = False) -> str:
    """A chat request whose prompt has about `size` bytes."""
    words = "measure the cost of every request " * (size // 34 + 1)
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": words[:size]}], "max_tokens": 500}
    return json.dumps(body | ({"stream": True} if stream else {}))


def run(url: str, headers: Mapping[str, str], body: str, *, connections: int, seconds: float) -> Load:
    """Ask `url` for `seconds` with that many connections, each waiting for its answer before it asks again."""
    headers = {**headers, "content-type": "application/json"}
    if shutil.which("wrk"):
        return _wrk(url, headers, body, connections, seconds)
    return _own(url, headers, body, connections, seconds)


def _wrk(url: str, headers: Mapping[str, str], body: str, connections: int, seconds: float) -> Load:
    with tempfile.TemporaryDirectory() as directory:
        body_file, script = Path(directory) / "body.json", Path(directory) / "ask.lua"
        body_file.write_text(body)
        lines = "\n".join(f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items())
        script.write_text(_LUA % {"body": json.dumps(str(body_file)), "headers": lines})
        command = ["wrk", "-t1", f"-c{connections}", f"-d{round(seconds)}s", "--timeout", "20s", "-s", str(script), url]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Load(**json.loads(said.rpartition("RESULT ")[2]))


def _own(url: str, headers: Mapping[str, str], body: str, connections: int, seconds: float) -> Load:
    where = urlsplit(url)
    job = {
        "host": where.hostname,
        "port": where.port,
        "path": where.path,
        "headers": dict(headers),
        "body": body,
        "connections": connections,
        "seconds": seconds,
    }
    command = [sys.executable, "-m", "tests.benchmarks.client"]
    return Load(
        **json.loads(subprocess.run(command, input=json.dumps(job), check=True, capture_output=True, text=True).stdout)
    )
