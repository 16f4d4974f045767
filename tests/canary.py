"""Runs the suite and looks for its secrets in all that it leaves behind: homes, logs, output, pictures.

    python -m tests.canary                    # the whole suite
    python -m tests.canary tests/real -k keys # what pytest takes

Every home of a test stays, with database, write-ahead log, journal, logs and whatever temporary files were not cleaned
up; so does what pytest printed. Secrets are noted as the suite's helpers make them (`tests.canaries`). Exit 1 if one is
found outside the files that were asked to hold it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.canaries import VARIABLE, files, forms

ROOT = Path(__file__).parents[1]
PICTURES = (ROOT / "screenshots", ROOT / "tests" / "tui" / "pictures")


def main(arguments: Sequence[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="canary-") as work:
        kept, noted, said = Path(work) / "kept", Path(work) / "noted.jsonl", Path(work) / "said.txt"
        noted.touch()
        with said.open("wb") as output:
            suite = [sys.executable, "-m", "pytest", "-rA", f"--basetemp={kept}", "-o", "tmp_path_retention_policy=all"]
            environ = {**os.environ, VARIABLE: str(noted)}
            done = subprocess.run([*suite, *arguments], cwd=ROOT, env=environ, stdout=output, stderr=subprocess.STDOUT)
        printed = said.read_text(errors="replace").splitlines()
        for line in [*(line for line in printed if line.startswith(("FAILED ", "ERROR "))), printed[-1]]:
            print(line[:200])
        found = leaks(noted, kept, said)
    for line in found:
        print(line)
    print(f"{len(found)} secrets found where none may be")
    return 1 if found else done.returncode


def leaks(noted: Path, kept: Path, said: Path) -> list[str]:
    """`kind: file` for each secret that lies open in a home, in a picture or in what was printed."""
    lines = [json.loads(line) for line in noted.read_text().splitlines()]
    asked = {Path(line["asked"]) for line in lines if "asked" in line}
    secrets = {form: line["what"] for line in lines if "what" in line for form in forms(line["secret"])}
    print(f"{len({line['secret'] for line in lines if 'secret' in line})} secrets noted")
    places = [(said, said.read_bytes())]
    for directory in [*homes(kept), *PICTURES]:
        places += files(directory, asked)
    print(f"{len(places)} files looked through")
    return sorted(
        {_find(what, form, path, data) for path, data in places for form, what in secrets.items() if form in data}
    )


def _find(what: str, form: bytes, path: Path, data: bytes) -> str:
    """What was found where, with the line around it but for the secret."""
    at = data.index(form)
    around = (
        data[max(data.rfind(b"\n", 0, at) + 1, at - 100) : at] + b"[here]" + data[at + len(form) :].split(b"\n")[0][:60]
    )
    return f"{what}: {path}: {around.decode(errors='replace')!a}"


def homes(kept: Path) -> list[Path]:
    """The directories that are a gateway's home: a test's own files beside one may hold what they like."""
    return sorted({found.parent.parent for found in kept.rglob("config/config.toml")})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
