"""Rounds of kill -9: the gateway dies at a random instant under load, starts again, and the ledger must be whole.

P1: every request the provider saw has its attempt row. P2: every answer a client saw complete has its settled row.
P3: no attempt is settled twice, a request has at most one charged attempt, and the totals equal the rows.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from keyvault.domain.ledger import Outcome
from opsconsole.staging.simulation.pace import Pace
from opsconsole.staging.simulation.profile import Profile
from opsconsole.staging.simulator import Simulator, running
from tests.faults.clients import Clients
from tests.gateway import Gateway, serving

LONGEST_LIFE: Final = 0.6
"""Seconds a gateway lives at most before it is killed."""

PROFILE: Final = Profile(models=("sim", "spare"), pace=Pace(first_content_ms=8, tokens_per_second=400))


@dataclass(slots=True)
class Outcomes:
    """What all rounds came to. `problems`: what does not hold, empty when all does."""

    rounds: int
    seen: int
    completed: int
    broken: int
    lost: int
    problems: list[str]


def run_rounds(rounds: int, seed: int, directory: Path, *, clients: int = 12, say: Callable[[str], None]) -> Outcomes:
    """Kill the gateway `rounds` times, then let it finish in peace and check everything."""
    rng = random.Random(seed)
    with running(PROFILE) as [simulator], _prepared(directory, simulator) as (gateway, secret):
        asking = Clients(gateway, secret, count=clients, seed=seed)
        asking.start()
        try:
            for number in range(rounds):
                time.sleep(rng.uniform(0.02, LONGEST_LIFE))  # the random instant; nothing waits for it
                gateway.kill()
                gateway.start()
                say(f"round {number + 1}: {len(asking.completed)} answers complete, {asking.broken} broken")
        finally:
            asking.stop()
        gateway.stop()
        problems = check(gateway, simulator, asking.completed)
        lost = gateway.rows("select count(*) as n from attempts where outcome = :lost", {"lost": int(Outcome.LOST)})
        return Outcomes(
            rounds, len(simulator.counts.requests), len(asking.completed), asking.broken, lost[0]["n"], problems
        )


@contextmanager
def _prepared(directory: Path, simulator: Simulator) -> Iterator[tuple[Gateway, str]]:
    """A serving gateway with one route that always works and one whose first target always fails."""
    gateway = Gateway(directory / "home")
    gateway.create_upstream("provider", "custom", simulator.base_url, PROFILE.credential)
    for model in ("sim", "sim-429", "spare"):
        gateway.set_price(f"provider/{model}")
    gateway.gwctl("routes", "set", "plain", "provider/sim")
    gateway.gwctl("routes", "set", "fallback", "provider/sim-429", "provider/spare")
    secret = gateway.create_key("clients")
    with serving(gateway):
        yield gateway, secret


def check(gateway: Gateway, simulator: Simulator, completed: list[str]) -> list[str]:
    """Everything that P1, P2 and P3 ask for and the ledger does not give."""
    rows = gateway.rows("select * from attempts")
    open_rows = gateway.rows("select * from open_attempts")
    problems = [f"still open: {row['request_id']}-{row['number']}" for row in open_rows]
    problems += _p1(rows, simulator)
    problems += _p2(rows, completed)
    problems += _p3(rows, gateway)
    return problems


def _p1(rows: list[dict[str, Any]], simulator: Simulator) -> Iterator[str]:
    on_record = {f"{row['request_id']}-{row['number']}" for row in rows}
    for seen in simulator.counts.requests:
        if seen.client_request_id not in on_record:
            yield f"P1: the provider saw {seen.client_request_id}, the ledger has no row"


def _p2(rows: list[dict[str, Any]], completed: list[str]) -> Iterator[str]:
    served = {row["request_id"] for row in rows if row["outcome"] == Outcome.SERVED}
    for request_id in completed:
        if request_id not in served:
            yield f"P2: a client saw {request_id} complete, the ledger has it not as served"


def _p3(rows: list[dict[str, Any]], gateway: Gateway) -> Iterator[str]:
    settled = Counter((row["request_id"], row["number"]) for row in rows)
    yield from (f"P3: settled {times} times: {attempt}" for attempt, times in settled.items() if times > 1)
    charged = Counter(row["request_id"] for row in rows if row["charge_pico"])
    yield from (f"P3: charged {times} times: {request}" for request, times in charged.items() if times > 1)
    sums = {
        "attempts": len(rows),
        "requests": sum(row["final"] for row in rows),
        "input": sum(row["input"] or 0 for row in rows),
        "output": sum(row["output"] or 0 for row in rows),
        "cost_pico": sum(row["cost_pico"] or 0 for row in rows),
        "charge_pico": sum(row["charge_pico"] or 0 for row in rows),
    }
    columns = ", ".join(f"sum({name}) as {name}" for name in sums)
    for table in ("totals_minute", "totals_quarter", "totals_day"):
        totals = gateway.rows(f"select {columns} from {table}")[0]
        for name, value in sums.items():
            if totals[name] != value:
                yield f"P3: {table}.{name} is {totals[name]}, the rows add up to {value}"
