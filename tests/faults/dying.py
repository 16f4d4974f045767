"""`python -m tests.faults.dying KIND PLACE STEP`: a rotation that is killed with SIGKILL right after one of its steps.

The product takes the steps of a rotation without stopping; here they are taken one by one, as they are.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Final

from keyvault.home import Home
from keyvault.keys.delivery import Delivery
from keyvault.keys.files import FileDelivery
from keyvault.keys.filing import Alone, Line
from keyvault.keys.handing import CommandDelivery
from keyvault.keys.rotating import Terms

KEY: Final = "bot"
VARIABLE: Final = "OPENAI_API_KEY"
GRACE: Final = timedelta(hours=24)
CONSUMER: Final = """sh -c 'cat > "$0.new" && mv "$0.new" "$0"' {place}"""

_FILE: Final = ("kept the old content", "wrote the new content", "put it in its place", "made it durable")
_COMMAND: Final = ("wrote the secret", "started the command", "saw it succeed")
STEPS: Final = {
    kind: ("locked", "minted", *steps, "proved", "acknowledged")
    for kind, steps in (("out", _FILE), ("env-file", _FILE), ("exec", _COMMAND))
}
"""Kind of delivery → every step of such a rotation, in order."""


def delivery_to(home: Home, kind: str, place: Path) -> Delivery:
    if kind == "exec":
        return CommandDelivery(CONSUMER.format(place=place), home.environ, print)
    form = Alone() if kind == "out" else Line(VARIABLE)
    return FileDelivery(place, form, home.rotations.locks, timedelta())


def main(kind: str, place: str, last: str) -> None:
    home = Home()
    steps = home.rotations.steps(KEY, delivery_to(home, kind, Path(place)), Terms(end_grace=True), prove=lambda _: None)
    taken = []
    for step in steps:
        taken.append(step)
        if step == last:
            os.kill(os.getpid(), signal.SIGKILL)
    assert tuple(taken) == STEPS[kind], taken


if __name__ == "__main__":
    main(*sys.argv[1:])
