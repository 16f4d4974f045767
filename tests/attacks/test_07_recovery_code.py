"""7. Recovery code with one wrong character, O for 0, lower case → checksum message; tolerated; opens."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyvault.clock import CROCKFORD
from keyvault.errors import Exit
from tests.cli.conftest import Gwctl


@pytest.fixture
def code(gwctl: Gwctl, tmp_path: Path) -> str:
    """The only thing that opens the vault."""
    gwctl("vault", "slots", "create", "recovery", "--recovery-out", str(tmp_path / "code"))
    (gwctl.home / "config" / "unlock.key").unlink()
    return (tmp_path / "code").read_text().strip()


def test_the_code_opens_however_it_is_typed(gwctl: Gwctl, code: str) -> None:
    for typed in (code, code.lower(), code.replace("0", "O").replace("1", "l"), code.replace("-", ""), f"  {code} "):
        assert gwctl("vault", "test-recovery", "--secret-stdin", stdin=typed).code == 0


def test_every_single_wrong_character_is_called_a_checksum(gwctl: Gwctl, code: str) -> None:
    for position, character in enumerate(code):
        if character == "-":
            continue
        other = CROCKFORD[(CROCKFORD.index(character) + 1) % 32]
        wrong = gwctl("vault", "test-recovery", "--secret-stdin", stdin=code[:position] + other + code[position + 1 :])
        assert wrong.code == Exit.LOCKED
        assert "the checksum does not match" in wrong.err
        assert code[:9] not in wrong.err


@pytest.mark.parametrize(
    ("change", "said"), [(lambda c: c[:-1], "this has 55"), (lambda c: c[:-1] + "U", "character 56")]
)
def test_a_code_that_is_none_is_said_to_be_none(gwctl: Gwctl, code: str, change, said: str) -> None:  # type: ignore[no-untyped-def]
    wrong = gwctl("vault", "test-recovery", "--secret-stdin", stdin=change(code))
    assert wrong.code == Exit.LOCKED
    assert said in wrong.err
