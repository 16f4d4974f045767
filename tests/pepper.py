"""A stand-in for an opened vault: one fixed pepper."""

from __future__ import annotations

from keyvault.domain.vault import Compartment

PEPPER = b"\x01" * 32


class FixedPepper:
    """Opens to the pepper of version 1, and remembers which compartments were asked for."""

    def __init__(self) -> None:
        self.opened: list[Compartment] = []

    def unlock(self, scope: Compartment) -> FixedPepper:
        self.opened.append(scope)
        return self

    def pepper(self) -> tuple[int, bytes]:
        return 1, PEPPER

    def peppers(self) -> dict[int, bytes]:
        return {1: PEPPER}
