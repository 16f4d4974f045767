"""The console on a real home, which breaks at F9 with the secret of the open dialog in its hands.

`python -m tests.tui.breaking FILE` in a terminal: make a key, press F9. The secret is written to FILE, to look for it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType

from keyvault.home import Home
from opsconsole.readers.home import HomeReader
from opsconsole.tui.app import Console
from opsconsole.tui.dialogs.new_secret import NewSecret
from opsconsole.tui.hands import HomeHands


class BreakingConsole(Console):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("f9", "break", priority=True)]
    kept: Path

    def action_break(self) -> None:
        dialog = self.screen
        assert isinstance(dialog, NewSecret)
        assert dialog._fresh is not None
        secret = dialog._fresh.secret.reveal()
        self.kept.write_text(secret)
        raise KeyError(f"broken over {secret}")


def main() -> None:
    home = Home(os.environ)
    hands = HomeHands(lambda prompt: Home(os.environ, home.clock, prompt=prompt), home.clock.now)
    console = BreakingConsole(HomeReader(home), hands, clock=home.clock)
    console.kept = Path(sys.argv[1])
    console.run()
    hands.close()
    home.close()
    sys.exit(console.return_code)


if __name__ == "__main__":
    main()
