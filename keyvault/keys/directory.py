"""Who is calling: every usable token in memory, found by its MAC.

`authenticate` costs microseconds and touches no storage. A change of keys, projects or customers is followed by
`refresh`, which reads only what changed since; a token that stays usable is never missing meanwhile. Unknown, wrong,
revoked, suspended and expired tokens all look the same: None. Uses are noted in memory and written by `flush`, which
also makes a pending generation active at its first use.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Mapping

from keyvault.clock import Clock, from_ms
from keyvault.domain.keys import ENVIRONMENTS, Caller, GenerationState, KeyState
from keyvault.errors import Tampered
from keyvault.keys import rotation, token
from keyvault.keys.moving import Moves
from keyvault.secrets import scrub
from keyvault.storage import callers as rows
from keyvault.storage import epochs, peppers
from keyvault.storage import keys as key_rows
from keyvault.storage.callers import UsableToken, Use
from keyvault.storage.engine import Database, Transaction

__all__ = ["Caller", "Directory", "UsableToken"]

_MAY_ACTIVATE = (KeyState.ACTIVE, KeyState.SUSPENDED)
LONGEST_CLIENT = 120
"""Characters kept of what a client calls itself."""


class Directory:
    """The callers of one proxy process.

    `authenticate` and `used` belong to the event loop; `refresh` and `flush` may run in other threads, one of each.
    """

    def __init__(
        self,
        database: Database,
        peppers: Callable[[], Mapping[int, bytes]],
        *,
        clock: Clock | None = None,
        environments: Collection[str] = ENVIRONMENTS,
        doubted: Callable[[Transaction, Collection[int]], Collection[int]] | None = None,
    ) -> None:
        """`peppers` opens the vault and gives every pepper by version; it is asked again when a new version appears.

        Keys of other `environments` are not known here. `doubted` says which of some keys nobody vouches for; none of
        their tokens is usable.
        """
        self._database = database
        self._read_peppers = peppers
        self._clock = clock or Clock()
        self._peppers: dict[int, bytes] = {}
        """By version, newest first."""
        self._moves = Moves(self._clock)
        self._by_mac: dict[bytes, UsableToken] = {}
        self._macs_of_key: dict[int, frozenset[bytes]] = {}
        self._adopted: set[bytes] = set()
        """The MACs of tokens that have another form than ours."""
        self._environments = environments
        self._doubted = doubted
        self._uses: dict[tuple[int, int], Use] = {}
        self.epoch = -1
        """The change epoch of keys that the directory has seen."""
        self.reading = 0
        """Grows each time anything was read; what was found holds as long as it stays the same."""

    def __len__(self) -> int:
        """How many tokens are usable or waiting for their end."""
        return len(self._by_mac)

    def load(self) -> None:
        """Read everything. Raises `Locked` when the vault cannot be opened."""
        self._load_peppers()
        with self._database.snapshot() as tx:
            epoch = epochs.current(tx)[0]
            changed = self._changed_since(tx, -1)
        for gone in self._macs_of_key.keys() - changed.keys():
            changed[gone] = []
        self._take(changed)
        self.epoch = epoch

    def refresh(self, epoch: int) -> None:
        """Read what changed since the epoch seen; everything, when `epoch` is older: then the database was put back."""
        if epoch == self.epoch:
            return
        if epoch < self.epoch:
            self.load()
            return
        with self._database.snapshot() as tx:
            epoch = epochs.current(tx)[0]
            changed = self._changed_since(tx, self.epoch)
            versions = peppers.versions(tx)
        if versions and set(versions) != self._peppers.keys():
            self._load_peppers()
        self._take(changed)
        self.epoch = epoch

    def endings(self, after_ms: int, until_ms: int) -> int:
        """How many usable tokens end after one moment and up to another."""
        ends = [token.until_ms for token in tuple(self._by_mac.values()) if token.until_ms is not None]
        return sum(after_ms < end <= until_ms for end in ends)

    def authenticate(self, presented: bytes, now_ms: int) -> Caller | None:
        """The caller a token belongs to at `now_ms`, or None. Any bytes may be given."""
        found = self.find(presented)
        return found.caller_at(now_ms) if found is not None else None

    def find(self, presented: bytes) -> UsableToken | None:
        """The token, whether or not its time is over; holds as long as `reading` stays the same."""
        if token.parse(presented) is None and not self._adopted:
            return None
        newest: tuple[bytes, int] | None = None
        for version, pepper in self._peppers.items():
            mac = token.mac(pepper, presented)
            found = self._by_mac.get(mac)
            if found is not None and hmac.compare_digest(found.mac, mac):
                if newest is not None:
                    self._moves.note(found, *newest)
                return found
            newest = newest or (mac, version)
        return None

    def used(self, caller: Caller, now_ms: int, client: str | None, address: str | None) -> None:
        """Note a successful use; `client` is what it calls itself, `address` where it called from."""
        self._uses[caller.key_id, caller.generation] = Use(caller.key_id, caller.generation, now_ms, client, address)

    def flush(self) -> None:
        """Write the uses noted since the last time, activate generations used for the first time, and store tokens
        that were used under the newest pepper.

        What cannot be written now, because storage is down, is kept for the next time.
        """
        self._write_uses()
        self._moves.store(self._database)

    def _write_uses(self) -> None:
        uses = self._drain()
        if not uses:
            return
        try:
            for use in filter(self._is_pending, uses):
                self._activate(use)
            with self._database.write() as tx:
                rows.record_uses(tx, [_presentable(use) for use in uses])
        except BaseException:
            for use in uses:
                self._uses.setdefault((use.key_id, use.generation), use)
            raise

    def _changed_since(self, tx: Transaction, epoch: int) -> dict[int, list[UsableToken]]:
        changed = rows.changed_since(tx, epoch)
        if self._doubted is not None and changed:
            changed.update({key_id: [] for key_id in self._doubted(tx, changed.keys())})
        return changed

    def _take(self, changed: Mapping[int, list[UsableToken]]) -> None:
        """Put in what is usable before taking out what is not, so that no token misses a moment."""
        if any(t.pepper_version not in self._peppers for tokens in changed.values() for t in tokens):
            self._load_peppers()
        for key_id, tokens in changed.items():
            before = self._macs_of_key.get(key_id, frozenset())
            after = {t.mac: t for t in tokens if t.caller.env in self._environments}
            self._by_mac.update(after)
            self._adopted.update(mac for mac, t in after.items() if t.adopted)
            for mac in before - after.keys():
                del self._by_mac[mac]
                self._adopted.discard(mac)
            self._macs_of_key[key_id] = frozenset(after)
        self.reading += 1

    def _load_peppers(self) -> None:
        self._peppers = dict(sorted(self._read_peppers().items(), reverse=True))

    def _drain(self) -> list[Use]:
        """Take the noted uses one by one: the event loop may add others meanwhile."""
        return [self._uses.popitem()[1] for _ in range(len(self._uses))]

    def _activate(self, use: Use) -> None:
        try:
            with self._database.change() as tx:
                key = key_rows.find_by_id(tx, use.key_id)
                generation = key and key.generation(use.generation)
                if key and generation and generation.state is GenerationState.PENDING and key.state in _MAY_ACTIVATE:
                    rotation.activate(tx, self._clock, key, use.generation, from_ms(use.at_ms), by="use")
        except Tampered:
            return  # it stays pending, and whoever watches over the rows tells of it

    def _is_pending(self, use: Use) -> bool:
        macs = self._macs_of_key.get(use.key_id, frozenset())
        tokens = (self._by_mac.get(mac) for mac in macs)
        return any(t is not None and t.pending and t.caller.generation == use.generation for t in tokens)


def _presentable(use: Use) -> Use:
    """Clients may call themselves anything, even by their secret: printable ASCII, scrubbed and cut, is kept of it."""
    client = use.client and "".join(c if " " <= c <= "~" else "?" for c in scrub(use.client)[:LONGEST_CLIENT])
    return Use(use.key_id, use.generation, use.at_ms, client, use.address)
