"""Test homes with a price book that is quick to vouch for: of the catalogue's thousands a few providers' prices stay.

Every unlock and every sealed change looks at all rows that are vouched for, which in a whole book takes most of a
test's time. What the whole book is like is tested where it is filled.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from keyvault.domain.vault import SlotKind
from keyvault.home import Home
from keyvault.storage.schema import prices
from keyvault.vault import manifest

KEPT: Final = ("openai", "anthropic", "groq")


@functools.cache
def made_home() -> Path:
    """A home to be copied, made once in a process: filling and sealing the price book takes most of a second."""
    directory = Path(tempfile.mkdtemp(prefix="made-home-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    home = Home({"GWCTL_HOME": str(directory / "home")})
    home.initialise(SlotKind.FILE)
    keep_few(home)
    home.close()
    return directory / "home"


def keep_few(home: Home) -> None:
    """Drop the prices of all other catalogues, and vouch for what is left."""
    home.seals.open()
    keys = home.seals.keys
    assert keys is not None
    home.database.sealer = None
    with home.database.write() as tx:
        tx.execute(sa.delete(prices).where(prices.c.catalogue.not_in(KEPT)))
        manifest.seal_all(tx, keys)
    home.database.sealer = lambda: home.seals
