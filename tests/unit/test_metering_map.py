"""The map of `keyvault.metering`, where somebody begins who has to change it."""

from __future__ import annotations

import re
from pathlib import Path

from keyvault import metering


def test_it_names_every_module_and_none_that_is_not_there() -> None:
    modules = {path.stem for path in Path(metering.__path__[0]).glob("*.py")} - {"__init__"}
    assert set(re.findall(r"`([a-z_]+)`", metering.__doc__ or "")) == modules
