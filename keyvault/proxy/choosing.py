"""Which credential of an upstream a request goes with.

Current credentials take turns by their weights: smooth weighted round robin, worked out beforehand, so that a choice is
one step of an iterator whether there is one credential or ten. One that the provider refuses stands aside; a previous
one serves what was made with it, and everything where no current one is left.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from keyvault.domain.vault import Credential, CredentialState
from keyvault.proxy.upstream import Origin
from keyvault.vault.upstreams import Opened, OpenUpstream

MAX_WEIGHT: Final = 100


class ServingUpstream:
    """An upstream with one of its credentials open, and the parts of its requests that never change."""

    __slots__ = ("auth", "credential_id", "extra", "host", "opened", "origin", "secrets")

    def __init__(self, opened: OpenUpstream) -> None:
        upstream = opened.upstream
        self.origin = Origin.parse(opened.base_url, allow_private=upstream.allow_private, ca_file=upstream.ca_file)
        self.host = self.origin.host_header
        self.auth = opened.auth_headers()
        self.extra = upstream.extra_headers
        self.secrets = (opened.secret.reveal(),) if opened.secret else ()
        self.credential_id = opened.credential.id
        self.opened = opened

    @property
    def credential(self) -> Credential:
        return self.opened.credential


class Chooser:
    """The choice among the credentials of one upstream, at least one. Used by the event loop's thread alone."""

    __slots__ = ("_by_id", "_by_label", "_ready", "choose")

    choose: Callable[[], ServingUpstream]
    """The credential for a request that depends on none."""

    def __init__(self, opened: Opened) -> None:
        serving = [ServingUpstream(each) for each in opened.credentials]
        current = [each for each in serving if each.credential.state is CredentialState.CURRENT]
        previous = [each for each in serving if each not in current]
        self._ready = [each for each in current + previous if each.credential.aside_at is None]
        self._by_id = {each.credential_id: each for each in serving}
        heirs = {each.credential.label: each for each in previous + current}
        self._by_label = {each.id: heirs[each.label] for each in opened.all if each.label in heirs}
        self.choose = itertools.cycle(_turns(current, previous)).__next__

    def by_id(self, credential_id: int) -> ServingUpstream | None:
        """The credential that something at the provider was made with, or the one that took its place; None where the
        whole account is gone."""
        return self._by_id.get(credential_id) or self._by_label.get(credential_id)

    def instead_of(self, refused: int) -> ServingUpstream | None:
        """Another credential for a request that the provider refused to this one."""
        return next((each for each in self._ready if each.credential_id != refused), None)

    def __iter__(self) -> itertools.chain[ServingUpstream]:
        return itertools.chain(self._by_id.values())


def _turns(current: Sequence[ServingUpstream], previous: Sequence[ServingUpstream]) -> Sequence[ServingUpstream]:
    """One round of turns. Where nobody is free of refusals, the one that was refused last is tried on: it worked for
    the longest time."""
    for candidates in (current, previous):
        if ready := [each for each in candidates if each.credential.aside_at is None]:
            return [ready[turn] for turn in smooth([each.credential.weight for each in ready])]
    return [max(current or previous, key=_since)]


def _since(serving: ServingUpstream) -> datetime:
    assert serving.credential.aside_at is not None
    return serving.credential.aside_at


def smooth(weights: Sequence[int]) -> list[int]:
    """One round of smooth weighted round robin: whose turn it is, by index. Zero takes none, unless all are zero."""
    capped = [min(max(weight, 0), MAX_WEIGHT) for weight in weights]
    if not any(capped):
        capped = [1] * len(capped)
    divisor = math.gcd(*capped)
    shares = [weight // divisor for weight in capped]
    credit = [0] * len(shares)
    round_ = []
    for _ in range(sum(shares)):
        credit = [have + share for have, share in zip(credit, shares, strict=True)]
        turn = credit.index(max(credit))
        credit[turn] -= sum(shares)
        round_.append(turn)
    return round_
