"""Every attack of the threat model has its file: one for each number, which begins by saying which attack it is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ATTACKS = range(1, 34)


@pytest.mark.parametrize("number", ATTACKS)
def test_each_attack_has_a_file_that_says_which_it_is(number: int) -> None:
    [path] = HERE.glob(f"test_{number:02}_*.py")
    module = ast.parse(path.read_text())
    said = ast.get_docstring(module) or ""
    assert re.match(rf"(Attack )?{number}[.:,]? \S", said), said
    assert any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in ast.walk(module))


def test_nothing_else_calls_itself_an_attack() -> None:
    numbers = [int(path.name[5:7]) for path in HERE.glob("test_[0-9][0-9]_*.py")]
    assert sorted(numbers) == list(ATTACKS)
