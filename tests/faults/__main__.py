"""`python -m tests.faults --rounds 200`: kill -9 at random instants under load; exits 1 when a promise is broken."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

from tests.faults.rounds import run_rounds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of an earlier run, to repeat it")
    parser.add_argument("--clients", type=int, default=12)
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        outcomes = run_rounds(
            arguments.rounds, arguments.seed, Path(directory), clients=arguments.clients,
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )  # fmt: skip
    print(
        f"{outcomes.rounds} kills: the provider saw {outcomes.seen} requests, clients saw {outcomes.completed} "
        f"complete and {outcomes.broken} broken, {outcomes.lost} attempts closed as lost"
    )
    for problem in outcomes.problems:
        print(problem)
    print(
        "P1, P2 and P3 hold" if not outcomes.problems else f"{len(outcomes.problems)} problems, seed {arguments.seed}"
    )
    return 1 if outcomes.problems else 0


if __name__ == "__main__":
    sys.exit(main())
