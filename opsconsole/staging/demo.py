"""The demo: the whole product at work on a throw-away home, and a check that its ledger is true.

Simulated providers, a furnished gateway served by a real `gwctl serve`, steady traffic. Afterwards what the providers
counted is compared with what the ledger says; the comparison's rules stand in `reconciliation`.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keyvault.domain.reports import RequestDetail
from keyvault.errors import Unavailable
from keyvault.home import Home
from keyvault.money import format_usd
from opsconsole.staging.demo_home import PROFILES, furnish
from opsconsole.staging.reconciliation import TargetCheck, reconcile
from opsconsole.staging.simulation.counts import Seen
from opsconsole.staging.simulator import Simulator, running
from opsconsole.staging.traffic import Tally, Traffic

SECONDS: Final = 20.0
_SERVE: Final = (
    "from keyvault.vault.hygiene import end_with_parent; end_with_parent(); "
    "from opsconsole.cli.main import main; main()"
)
_LISTENING: Final = re.compile(r"listening on (http\S+) ")


@dataclass(frozen=True, slots=True)
class DemoResult:
    """How the demo ended. `ok`: the ledger and the providers agree on everything."""

    seconds: float
    clients: Tally
    targets: tuple[TargetCheck, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(f"{check.target}: {problem}" for check in self.targets for problem in check.problems)

    @property
    def ok(self) -> bool:
        return bool(self.targets) and not self.problems


def run_demo(
    *,
    seconds: float | None = None,
    on_progress: Callable[[str], None],
    console: Callable[[Home], None] | None = None,
) -> DemoResult:
    """Run the demo for `seconds`; with `console`, until that returns. `on_progress` gets one line now and then."""
    with tempfile.TemporaryDirectory(prefix="gwctl-demo-") as directory, running(*PROFILES.values()) as simulators:
        providers = dict(zip(PROFILES, simulators, strict=True))
        environ = {**_plain_environment(), "GWCTL_HOME": directory}
        with contextlib.closing(Home(environ)) as home:
            on_progress("setting up a throw-away gateway with three simulated providers")
            furnished = furnish(home, {name: simulator.base_url for name, simulator in providers.items()})
            with _gateway(environ, Path(directory)) as origin:
                traffic = Traffic(f"{origin}/v1", furnished.secrets)
                began = time.monotonic()
                traffic.start()
                try:
                    _watch(home, traffic, seconds, on_progress, console)
                finally:
                    on_progress("waiting for the requests under way")
                    traffic.stop()
            on_progress("comparing the ledger with the providers' own counts")
            checks = reconcile(_seen(providers), _requests(home))
            return DemoResult(time.monotonic() - began, traffic.tally, tuple(checks))


def _watch(
    home: Home,
    traffic: Traffic,
    seconds: float | None,
    on_progress: Callable[[str], None],
    console: Callable[[Home], None] | None,
) -> None:
    """Return when the time is up or the console was left."""
    if console is not None:
        console(home)
        return
    began, until = time.monotonic(), time.monotonic() + (seconds or SECONDS)
    while (now := time.monotonic()) < until:
        tally = traffic.tally
        on_progress(
            f"{now - began:3.0f} s  {tally.sent} requests sent, {tally.open} open, {tally.completed} completed, "
            f"{tally.refused} refused, {tally.broken} broken, {tally.given_up} given up"
        )
        time.sleep(min(2.0, until - now))


@contextlib.contextmanager
def _gateway(environ: dict[str, str], directory: Path) -> Iterator[str]:
    """The origin of a running `gwctl serve`; drained and ended with the block."""
    command = [sys.executable, "-c", _SERVE, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    with (directory / "serve.log").open("wb") as log:
        child = subprocess.Popen(  # noqa: S603 - our own command
            command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True
        )
    assert child.stdout is not None
    try:
        listening = _LISTENING.search(child.stdout.readline().decode())
        if listening is None:
            said = (directory / "serve.log").read_text(errors="replace").strip().splitlines()
            raise Unavailable(f"the gateway did not start: {said[-1] if said else 'no reason given'}")
        yield listening[1]
        child.terminate()
        child.wait(timeout=60)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def _seen(providers: dict[str, Simulator]) -> dict[str, list[Seen]]:
    """Target → what its provider saw."""
    seen: dict[str, list[Seen]] = {}
    for name, simulator in providers.items():
        for one in simulator.counts.requests:
            seen.setdefault(f"{name}/{one.model}", []).append(one)
    return seen


def _requests(home: Home) -> Iterator[RequestDetail]:
    """Every request in the ledger, with its attempts."""
    for line in home.reports.tail(1_000_000):
        yield home.reports.request(line.request_id)


def _plain_environment() -> dict[str, str]:
    """Ours without this machine's gateway and without its web proxies: the demo stays on this machine."""
    dropped = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    return {n: v for n, v in os.environ.items() if not n.startswith("GWCTL_") and n.lower() not in dropped}


def summary(result: DemoResult) -> str:
    """The table that ends the demo: both sides of each target, and the verdict."""
    rows = [["target", "requests", "served", "input", "cached", "output", "unfinished", "cost USD"]]
    for check in result.targets:
        provider, ledger = check.provider, check.ledger
        pairs = (
            (provider.attempts, ledger.attempts),
            (provider.served, ledger.served),
            (provider.input_tokens, ledger.input_tokens),
            (provider.cached_input_tokens, ledger.cached_input_tokens),
            (provider.output_tokens, ledger.output_tokens),
        )
        unfinished = f"{provider.unfinished_output_tokens} ~ {ledger.unfinished_output_tokens}"
        cells = [f"{a} = {b}" if a == b else f"{a} ≠ {b}" for a, b in pairs]
        rows.append([check.target, *cells, unfinished, format_usd(check.known_cost_pico)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    lines += [
        "",
        _clients(result.clients),
        "each cell: the provider's own count = the ledger's; unfinished: tokens sent before the end ~ tokens estimated",
        *result.problems[:20],
        "the ledger agrees with the providers" if result.ok else "the ledger does NOT agree with the providers",
    ]
    return "\n".join(lines)


def _clients(tally: Tally) -> str:
    return (
        f"clients: {tally.sent} requests sent, {tally.completed} completed, {tally.refused} refused, "
        f"{tally.broken} broken, {tally.given_up} given up in mid-stream"
    )
