"""A simulated provider: a real HTTP server that speaks as OpenAI and Anthropic do, counts exactly and fails to order.

It serves chat completions, completions, responses, messages and embeddings, streamed where they stream, `/models`, and
its own count of everything it saw at `GET /simulator/counts`. Answers follow from the seed, the model and the texts.
Run one with `python -m opsconsole.staging.simulator --port 0`; `simulation/behaviours.py` lists what it can be told.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import uvloop

from opsconsole.staging.simulation.asked import Asked
from opsconsole.staging.simulation.behaviours import BEHAVIOURS
from opsconsole.staging.simulation.counts import Counts, Seen
from opsconsole.staging.simulation.pace import Pace
from opsconsole.staging.simulation.profile import Profile
from opsconsole.staging.simulation.shapes import SHAPES
from opsconsole.staging.simulation.wire import Connection, Reply, Request


class Simulator:
    """One simulated provider. `start` and `stop` belong to its loop; `counts` may be read from anywhere."""

    def __init__(self, profile: Profile | None = None) -> None:
        self.profile = profile or Profile()
        self.counts = Counts()
        self.origin = ""
        """`http://127.0.0.1:PORT` once started."""
        self._rng = random.Random(self.profile.seed)  # noqa: S311 - not for secrets
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._number = 0

    @property
    def base_url(self) -> str:
        """What an SDK or an upstream takes as its base URL."""
        return f"{self.origin}/v1"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._serve, self._connections), host, port, backlog=4096
        )
        self.origin = "http://{}:{}".format(*self._server.sockets[0].getsockname()[:2])

    async def stop(self) -> None:
        """Close every connection, so that requests still running count as left."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.abort()
        await asyncio.sleep(0)

    async def _serve(self, request: Request, reply: Reply) -> None:
        path = request.path.removeprefix("/v1")
        if request.method == "POST" and path in SHAPES:
            self._number += 1
            seen = self.counts.begin(Seen(path, "", request.headers.get("x-client-request-id")))
            await Asked(self.profile, SHAPES[path], request, reply, seen, self._number, self._rng).run()
        elif path == "/simulator/counts":
            _json(reply, 200, self.counts.to_json())
        elif path == "/models" or path.startswith("/models/"):
            self._models(path.removeprefix("/models").removeprefix("/"), request, reply)
        else:
            _json(reply, 404, {"error": {"message": f"Invalid URL ({request.method} {request.path})", "code": None}})

    def _models(self, name: str, request: Request, reply: Reply) -> None:
        if not self.profile.accepts(request.headers):
            return _json(reply, 401, {"error": {"message": "Incorrect API key provided.", "code": "invalid_api_key"}})
        models = [_model(model) for model in self.profile.models if name in ("", model)]
        if not name:
            return _json(reply, 200, {"object": "list", "data": models})
        if models:
            return _json(reply, 200, models[0])
        return _json(
            reply, 404, {"error": {"message": f"The model '{name}' does not exist", "code": "model_not_found"}}
        )


@contextlib.contextmanager
def running(*profiles: Profile) -> Iterator[list[Simulator]]:
    """Simulators serving from a thread of their own, until the block ends."""
    simulators = [Simulator(profile) for profile in profiles]
    ready, ended = threading.Event(), asyncio.Event()
    loop = uvloop.new_event_loop()

    async def serve() -> None:
        for simulator in simulators:
            await simulator.start()
        ready.set()
        await ended.wait()
        for simulator in simulators:
            await simulator.stop()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), name="simulator", daemon=True)
    thread.start()
    ready.wait()
    try:
        yield simulators
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1_790_000_000, "owned_by": "simulator"}


def _json(reply: Reply, status: int, value: dict[str, Any]) -> None:
    reply.whole(status, [("content-type", "application/json")], msgspec.json.encode(value))


def _arguments() -> argparse.Namespace:
    behaviours = "\n".join(f"  {name:12} {what}" for name, what in BEHAVIOURS.items())
    parser = argparse.ArgumentParser(
        prog="python -m opsconsole.staging.simulator",
        description="Serve a simulated provider on loopback.",
        epilog=f"behaviours (model NAME-BEHAVIOUR, or [sim:BEHAVIOUR] in a text):\n{behaviours}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0, help="0 picks one (default)")
    parser.add_argument("--models", default="sim", help="names, separated by commas")
    parser.add_argument("--credential", default="sk-sim", help="the credential it accepts")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--first-content-ms", type=float, default=250.0, help="mean; 0 is instant")
    parser.add_argument("--tokens-per-second", type=float, default=60.0, help="0 is instant")
    parser.add_argument("--fail", action="append", default=[], metavar="BEHAVIOUR=RATE", help="such as 429=0.01")
    return parser.parse_args()


def _profile(arguments: argparse.Namespace) -> Profile:
    failures = {name: float(rate) for name, _, rate in (text.partition("=") for text in arguments.fail)}
    return Profile(
        models=tuple(arguments.models.split(",")),
        credential=arguments.credential,
        seed=arguments.seed,
        pace=Pace(arguments.first_content_ms, arguments.tokens_per_second),
        failures=failures,
    )


async def _run(profile: Profile, port: int) -> None:
    simulator, ended = Simulator(profile), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await simulator.start(port=port)
    sys.stdout.write(f"listening on {simulator.base_url}\n")
    sys.stdout.flush()
    await ended.wait()
    await simulator.stop()


def main() -> None:
    arguments = _arguments()
    uvloop.run(_run(_profile(arguments), arguments.port))


if __name__ == "__main__":
    main()
