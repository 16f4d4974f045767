"""Vouches for a balance as it is, when a person decided that it holds after something else had changed it."""

from __future__ import annotations

from keyvault.domain.balances import Balance, EntryKind, chained
from keyvault.errors import Tampered
from keyvault.metering.examining import Chain
from keyvault.metering.remembered import Seen
from keyvault.metering.spending import Spending
from keyvault.storage import balances as rows
from keyvault.storage.balances import Link, Taken
from keyvault.storage.engine import Transaction


def resealed(tx: Transaction, balance: Balance, spending: Spending, seen: Seen | None) -> None:
    """Chain its entries anew, as they are, and sign the most that is known to have been taken. Raises `Tampered` for an
    entry that cannot be read."""
    known = {row.balance_id: row for row in rows.taken(tx, held=True)}.get(balance.id)
    witnesses = [Seen(0, *rows.attempted(tx).get(balance.id, (0, 0)))]
    witnesses += [seen] if seen is not None else []
    if known is not None and spending.fits(known):
        witnesses.append(Seen(known.version, known.charged_pico, known.doubt_pico))
    most = max(witnesses, key=lambda each: each.taken_pico)
    version = max(each.version for each in witnesses) + 1
    rows.set_taken(tx, spending.signed(Taken(balance.id, version, most.charged_pico, most.doubt_pico, None)))
    chain = _chained_anew(tx, balance)
    rows.set_chain(
        tx,
        balance.id,
        entries=chain.entries,
        funded_pico=chain.funded_pico,
        released_pico=chain.released_pico,
        head=chain.head,
    )


def _chained_anew(tx: Transaction, balance: Balance) -> Chain:
    chain = Chain()
    for link in rows.chain(tx, balance.id):
        _check(balance, link)
        moved = link._replace(number=chain.entries + 1)
        moved = moved._replace(digest=chained(balance.id, chain.head, moved.said))
        rows.relink(tx, balance.id, link.number, moved)
        following = chain.after(balance.id, moved)
        assert following is not None
        chain = following
    return chain


def _check(balance: Balance, link: Link) -> None:
    if not isinstance(link.amount_pico, int) or link.kind not in set(EntryKind):
        what = f"entry {link.number} of the balance of {balance.scope} cannot be read"
        raise Tampered(what, hint="restore a backup, or take the entry out by hand")
