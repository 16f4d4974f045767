"""The Vault view: provider accounts and their credentials, and how each does."""

from __future__ import annotations

from typing import ClassVar, Final

from textual.binding import BindingType

from keyvault.domain.vault import CredentialState
from opsconsole.tui.actions import TABLE_ACTIONS, Action, bindings
from opsconsole.tui.context import Context
from opsconsole.tui.deeds import vault as deeds
from opsconsole.tui.deeds.trials import start_drill
from opsconsole.tui.screens.page import Page
from opsconsole.tui.screens.view_screen import ViewScreen, of_row
from opsconsole.tui.widgets.painted import Lines
from opsconsole.view.notices import Notice
from opsconsole.view.table import RowKey, Table
from opsconsole.view.text import Line, Span, Tone, line
from opsconsole.view.vault.beside import beside
from opsconsole.view.vault.rows import BY_NAME, table
from opsconsole.view.vault.snapshot import Account, VaultQuestion, VaultSnapshot

VAULT_ACTIONS: Final = (
    Action("open", ("enter",), "screen.open", "open", "Show all there is about the account", "table", 3),
    Action("new", ("n",), "screen.new", "new", "New upstream", "change", 4, changes=True),
    Action("account", ("a",), "screen.account", "account", "Another account of it", "change", 9, changes=True),
    Action("edit", ("e",), "screen.edit", "share", "Change the account's share", "change", 10, changes=True),
    Action("test", ("t",), "screen.test", "test", "Test it with a real call", "change", 5, changes=True),
    Action("rotate", ("r",), "screen.rotate", "rotate", "Replace the credential", "change", 5, changes=True),
    Action("promote", ("p",), "screen.promote", "promote", "Let a staged one take over", "change", 11, changes=True),
    Action("undo", ("u",), "screen.undo", "undo", "Undo the rotation", "change", 10, changes=True),
    Action("retire", ("R",), "screen.retire", "retire", "Destroy the old secret now", "change", 12, changes=True),
    Action("disable", ("x",), "screen.disable", "on or off", "Disable or enable it", "change", 8, changes=True),
    Action("delete", ("D",), "screen.delete", "delete", "Delete the account or upstream", "change", 8, changes=True),
    Action("drill", ("d",), "screen.drill", "drill", "Have it fail for one key", "change", changes=True),
    Action("data-keys", ("K",), "screen.data_keys", "data keys", "Rotate the data keys", "change", changes=True),
    Action("pepper", ("P",), "screen.pepper", "pepper", "Rotate the pepper of tokens", "change", changes=True),
    *TABLE_ACTIONS,
)


class VaultScreen(ViewScreen[VaultSnapshot]):
    """What the gateway calls providers with."""

    NAME = "vault"
    ACTIONS = VAULT_ACTIONS
    BINDINGS: ClassVar[list[BindingType]] = bindings(VAULT_ACTIONS)
    SORT = BY_NAME

    def __init__(self, context: Context) -> None:
        super().__init__(context, VaultQuestion())

    def written(self, snapshot: VaultSnapshot) -> Table:
        return table(snapshot, self.sort, self.wanted, self.glyphs)

    def lead(self) -> Line:
        return line(Span("upstreams", Tone.STRONG))

    def empty(self, snapshot: VaultSnapshot) -> Notice:
        way = line(Span("n", Tone.ACCENT), Span(" adds a provider account.", Tone.FAINT))
        return Notice("No upstreams yet: nothing can be served.", () if self.shared.read_only else (way,))

    def beside(self, snapshot: VaultSnapshot, key: RowKey | None) -> Lines:
        lines = beside(snapshot, _account(snapshot, key), self.glyphs)
        return lambda _width, _height: lines

    @property
    def account(self) -> Account | None:
        """The one under the cursor."""
        return _account(self.kept, self.rows.cursor_key) if self.kept is not None else None

    @property
    def _label(self) -> str | None:
        account = self.account
        return account.credential.label if account and account.credential else None

    def _with(self, *states: CredentialState) -> Account | None:
        """The account under the cursor, if it has a secret in one of these states."""
        known, here = self.kept, self.account
        if known is None or here is None or here.credential is None:
            return None
        same = (each for each in known.accounts if each.upstream.id == here.upstream.id)
        secrets = (each.credential for each in same if each.credential and each.credential.label == self._label)
        return here if any(each.state_at(known.taken_at) in states for each in secrets) else None

    # What can be done

    @of_row
    def action_open(self) -> None:
        snapshot, account = self.kept, self.account
        if snapshot is not None and account is not None:
            self.app.push_screen(Page(beside(snapshot, account, self.glyphs)))

    def action_new(self) -> None:
        self.begin(deeds.new_upstream(), lambda done: self.select((done.result.name, "main", "current")))

    @of_row
    def action_account(self) -> None:
        if account := self.account:
            self.begin(deeds.new_account(account.upstream))

    @of_row
    def action_edit(self) -> None:
        if (account := self.account) and account.credential:
            self.begin(deeds.edit(account))
        else:
            self.say("it needs no credential, so there is nothing to share")

    @of_row
    def action_test(self) -> None:
        if account := self.account:
            self.begin(deeds.test(account.upstream, self._label))

    @of_row
    def action_rotate(self) -> None:
        if account := self.account:
            self.begin(deeds.rotate(account.upstream, self._label))

    @of_row
    def action_promote(self) -> None:
        account = self._with(CredentialState.STAGED, CredentialState.TESTED)
        if account and account.credential:
            self.begin(deeds.promote(account.upstream, account.credential.label))
        else:
            self.say("no staged credential waits here; r replaces the one there is")

    @of_row
    def action_undo(self) -> None:
        if account := self._with(CredentialState.PREVIOUS):
            self.begin(deeds.undo(account.upstream, self._label))
        else:
            self.say("there is no former credential to go back to")

    @of_row
    def action_retire(self) -> None:
        if account := self._with(CredentialState.PREVIOUS):
            self.begin(deeds.retire(account.upstream, self._label))
        else:
            self.say("there is no old secret to destroy")

    @of_row
    def action_disable(self) -> None:
        if account := self.account:
            upstream = account.upstream
            self.begin(deeds.enable(upstream) if upstream.disabled else deeds.disable(upstream))

    @of_row
    def action_delete(self) -> None:
        if (account := self.account) and self.kept is not None:
            same = {
                each.credential.label
                for each in self.kept.accounts
                if each.upstream.id == account.upstream.id and each.credential
            }
            self.begin(deeds.delete(account, alone=len(same) < 2))

    @of_row
    def action_drill(self) -> None:
        if (account := self.account) and self.kept is not None:
            self.begin(start_drill(self.kept.names, f"{account.upstream.name}/"))

    def action_data_keys(self) -> None:
        self.begin(deeds.rotate_data_keys())

    def action_pepper(self) -> None:
        self.begin(deeds.rotate_pepper())


def _account(snapshot: VaultSnapshot, key: RowKey | None) -> Account | None:
    return next((each for each in snapshot.accounts if each.key == key), None)
