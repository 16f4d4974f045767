"""Files that are named on the command line: stdin is read as a file is, whatever text the locale takes it for."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from keyvault.errors import Exit
from opsconsole.cli.io import Streams
from opsconsole.cli.main import run
from tests.cli.conftest import Gwctl


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        ("\ufeffday,usd\r\n2026-09-01,0\r\n".encode(), Exit.NOT_FOUND, "gwctl upstreams list"),
        ("day,usd,Größe\n2026-09-01,0,1\n".encode("latin-1"), Exit.USAGE, "not UTF-8 text"),
    ],
)
@pytest.mark.parametrize("locale", ["utf-8", "latin-1", "ascii"])
def test_stdin_reads_as_a_file_of_the_same_bytes_does(
    gwctl: Gwctl, tmp_path: Path, content: bytes, code: int, said: str, locale: str
) -> None:
    words = ("usage", "reconcile", "--upstream", "nobody", "--columns", "date=day,cost=usd", "--file")
    (file := tmp_path / "bill.csv").write_bytes(content)
    from_file = gwctl(*words, str(file))
    stdin, err = io.TextIOWrapper(io.BytesIO(content), encoding=locale), io.StringIO()
    piped = run((*words, "-"), gwctl.environ, Streams(stdin, io.StringIO(), err), gwctl.clock)
    assert (from_file.code, said in from_file.err) == (code, True), from_file.err
    assert (piped, err.getvalue()) == (code, from_file.err.replace(str(file), "-"))
