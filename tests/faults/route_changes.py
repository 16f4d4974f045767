"""`python -m tests.faults.route_changes --changes 100`: routes applied and rolled back under load.

Clients ask without a pause, streaming and not, while another process changes the routes by `gwctl routes apply` and
`rollback`. No request fails; and each one that began after a change was served as that change says, so the very next
request follows it; one that had not ended when the next change began may have been served as that one says.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import httpx

from opsconsole.cli.io import Streams
from opsconsole.cli.main import run
from opsconsole.staging.simulation.pace import Pace
from opsconsole.staging.simulation.profile import Profile
from opsconsole.staging.simulator import running
from tests.gateway import Gateway, serving

MODELS: Final = ("one", "two", "three")
PROFILE: Final = Profile(models=MODELS, pace=Pace(first_content_ms=2, tokens_per_second=2000))
ALIAS: Final = "m"
ROLLBACK_EACH: Final = 4
"""Every so many changes one is a rollback."""


@dataclass(frozen=True, slots=True)
class Served:
    """A request that was answered as it should be."""

    began: float
    ended: float
    model: str
    """The target's, as the provider named it."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A change of the routes. From `done` on every request that begins must follow it."""

    model: str
    begun: float
    done: float


@dataclass(slots=True)
class Load:
    """Clients that ask again and again, from `start` to `stop`."""

    gateway: Gateway
    secret: str
    clients: int
    served: list[Served] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def asking(self) -> Iterator[None]:
        with ThreadPoolExecutor(1, "clients") as thread:
            asked = thread.submit(lambda: asyncio.run(self._run()))
            try:
                yield
            finally:
                self._ended.set()
            asked.result()

    async def _run(self) -> None:
        headers = {"authorization": f"Bearer {self.secret}"}
        async with (
            httpx.AsyncClient(
                base_url=self.gateway.origin, headers=headers, timeout=20, trust_env=False, verify=False
            ) as client,
            asyncio.TaskGroup() as group,
        ):
            for number in range(self.clients):
                group.create_task(self._ask_again(client, stream=number % 2 == 0))

    async def _ask_again(self, client: httpx.AsyncClient, *, stream: bool) -> None:
        while not self._ended.is_set():
            try:
                self.served.append(await ask(client, stream=stream))
            except (httpx.HTTPError, AssertionError) as error:
                self.failures.append(f"{type(error).__name__}: {error}"[:300])

    def problems(self, changes: list[Changed]) -> Iterator[str]:
        """What failed, and what was served by other routes than those that held."""
        yield from self.failures
        never = Changed("", float("inf"), float("inf"))
        for before, after in pairwise([*changes, never]):
            for served in self.served:
                might = {before.model, after.model} if served.ended >= after.begun else {before.model}
                if before.done <= served.began < after.begun and served.model not in might:
                    yield f"served by {served.model} after the routes said {before.model}"


async def ask(client: httpx.AsyncClient, *, stream: bool) -> Served:
    """One request. Raises `AssertionError` for an answer that is not whole."""
    began = time.perf_counter()
    body = {"model": ALIAS, "stream": stream, "max_tokens": 20, "messages": [{"role": "user", "content": "hi"}]}
    answer = await client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    if not stream:
        return Served(began, time.perf_counter(), str(answer.json()["model"]))
    assert answer.text.rstrip().endswith("data: [DONE]"), answer.text[-200:]
    first = answer.text.partition("data: ")[2].partition("\n")[0]
    return Served(began, time.perf_counter(), str(json.loads(first)["model"]))


class Operator:
    """Changes the routes of a gateway by commands, as somebody at another terminal."""

    def __init__(self, gateway: Gateway, directory: Path) -> None:
        self._gateway = gateway
        self._file = directory / "routes.toml"
        self._models: list[str] = []

    def change(self, number: int) -> Changed:
        """The `number`th change: another model each time, or back to the one before."""
        if len(self._models) > 1 and number % ROLLBACK_EACH == 0:
            self._models.append(self._models[-2])
            return self._timed("rollback")
        self._models.append(MODELS[number % len(MODELS)])
        self._file.write_text(self._document(number))
        return self._timed("apply", "-f", str(self._file))

    def _document(self, number: int) -> str:
        model = self._models[-1]
        fallbacks = [f"sim/{other}" for other in MODELS if other != model]
        timeouts = f'{{ first_content = "{30 + number}s" }}'
        return (
            f'[routes.{ALIAS}]\ntargets = ["sim/{model}"]\nfallbacks = {json.dumps(fallbacks)}\ntimeouts = {timeouts}\n'
        )

    def _timed(self, *words: str) -> Changed:
        begun = time.perf_counter()
        streams = Streams(io.StringIO(), io.StringIO(), err := io.StringIO())
        code = run(("routes", *words), self._gateway.environ, streams)
        assert code == 0, err.getvalue()
        return Changed(self._models[-1], begun, time.perf_counter())


def run_changes(changes: int, directory: Path, *, clients: int, say: Callable[[str], None]) -> tuple[Load, list[str]]:
    """Change the routes so often under load; the load, and what does not hold."""
    with running(PROFILE) as [simulator]:
        gateway = Gateway(directory / "home")
        gateway.create_upstream("sim", "openai", simulator.base_url, PROFILE.credential)
        secret = gateway.create_key("client")
        operator = Operator(gateway, directory)
        done = [operator.change(0)]
        with serving(gateway):
            load = Load(gateway, secret, clients)
            with load.asking():
                for number in range(1, changes + 1):
                    enough = len(load.served) + clients
                    done.append(operator.change(number))
                    while len(load.served) + len(load.failures) < enough:
                        time.sleep(0.001)  # some requests under each state of the routes
                    say(f"change {number}: {len(load.served)} served, {len(load.failures)} failed")
            gateway.stop()
        return load, [*load.problems(done), *_missing(gateway, changes)]


def _missing(gateway: Gateway, changes: int) -> Iterator[str]:
    numbers = [row["number"] for row in gateway.rows("SELECT number FROM revisions ORDER BY number")]
    if numbers != list(range(1, changes + 2)):
        yield f"the revisions are {numbers}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.route_changes", description=__doc__)
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--clients", type=int, default=8)
    arguments = parser.parse_args()

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        load, problems = run_changes(arguments.changes, Path(directory), clients=arguments.clients, say=say)
    print(*problems[:20], sep="\n", end="\n" if problems else "")
    told: dict[str, Any] = {
        "changes": arguments.changes,
        "requests served": len(load.served),
        "failed": len(load.failures),
        "problems": len(problems),
    }
    print(", ".join(f"{count} {what}" for what, count in told.items()))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
