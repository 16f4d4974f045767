"""Deeds of the vault: upstreams, their credentials, the vault's own keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from keyvault.domain.names import parse_duration
from keyvault.domain.providers import preset, presets
from keyvault.domain.vault import Compartment, Credential, Upstream
from keyvault.errors import GatewayError, UsageError
from opsconsole.tui.deeds.deed import Deed, Done, Field, Severity, Typed, Values, checked
from opsconsole.view.text import Line, Span, Tone, line
from opsconsole.view.vault.snapshot import Account

if TYPE_CHECKING:
    from keyvault.home import Home

OVERLAP: Final = "24h"
YES_NO: Final = ("no", "yes")


def _weight(text: str) -> str | None:
    return None if text.isdigit() and int(text) <= 100 else "a whole number, 0 to 100"


def new_upstream() -> Deed:
    """A provider account, with its credential where it needs one."""

    def tells(values: Values) -> Sequence[Line]:
        try:
            chosen = preset(values["provider"])
        except GatewayError:
            return ()
        url = values["base_url"] or chosen.base_url or f"needs a base URL, such as {chosen.base_url_form}"
        need = "its credential is sealed in the vault" if chosen.needs_secret else "it needs no credential"
        return (line(Span(f"{chosen.title}, {url}", Tone.STRONG)), line(Span(need, Tone.FAINT)))

    def run(home: Home, typed: Typed) -> Done:
        secret = typed.secrets["secret"]
        chosen = preset(typed["provider"])
        if chosen.needs_secret and not secret.reveal():
            raise UsageError(f"provider {chosen.name} needs a credential", hint="fill in the field above")
        made = home.upstreams.create(
            typed["name"],
            typed["provider"],
            base_url=typed.get("base_url"),
            secret=secret if secret.reveal() else None,
            allow_private=typed["private"] == "yes",
        )
        return Done(f"created upstream {made.name}; t tests it", made)

    return Deed(
        "New upstream",
        "Create",
        run,
        fields=(
            Field("name", "name", required=True, example="openai"),
            Field("provider", "provider", choices=tuple(each.name for each in presets()), required=True),
            Field("base_url", "base URL", example="the provider's own"),
            Field("secret", "credential", secret=True),
            Field("private", "private network", initial="no", choices=YES_NO),
        ),
        tells=tells,
    )


def test(upstream: Upstream, label: str | None) -> Deed:
    """The smallest real call."""

    def run(home: Home, typed: Typed) -> Done:
        credential = home.upstreams.open(upstream.name, label).credential
        result = home.trials.make(upstream.name, credential, typed.get("model"))
        if result.ok:
            return Done(f"{upstream.name} answered in {result.latency_ms} ms ({result.note})")
        raise UsageError(f"{upstream.name} did not answer well: {result.failure}")

    return Deed(
        f"Test upstream {upstream.name}",
        "Test",
        run,
        fields=(Field("model", "model", example="a small one"),),
        tells=lambda _values: (line(Span("Makes one real call, the smallest there is. It may cost a little.")),),
    )


def _try(home: Home, typed: Typed, upstream: Upstream, credential: Credential, consequence: str = "") -> None:
    """One real call with a credential, where that is wanted. Raises `UsageError` where it is not answered well."""
    if typed["test"] == "yes" and not (result := home.trials.make(upstream.name, credential)).ok:
        raise UsageError(f"the credential was not answered well: {result.failure}{consequence}")


def rotate(upstream: Upstream, label: str | None) -> Deed:
    """A new secret: sealed, tested with a real call, then it takes the traffic."""

    def run(home: Home, typed: Typed) -> Done:
        overlap = parse_duration(typed["overlap"])
        staged = home.credentials.stage(upstream.name, typed.secrets["secret"], label)
        _try(home, typed, upstream, staged, "; it stays staged, the old one works on")
        current, _ = home.credentials.promote(upstream.name, staged.label, overlap=overlap, only=staged)
        return Done(f"{upstream.name} goes with its new credential {current.label}")

    return Deed(
        f"Rotate the credential of {upstream.name}",
        "Rotate",
        run,
        fields=(
            Field("secret", "new credential", secret=True, required=True),
            Field("overlap", "old one works on for", initial=OVERLAP, check=checked(parse_duration), required=True),
            Field("test", "test it with a real call", initial="yes", choices=YES_NO),
        ),
        tells=lambda _values: (
            line(Span("The new secret gets no traffic before it was answered well; until the overlap ends")),
            line(Span("the rotation can be undone with u.")),
        ),
    )


def promote(upstream: Upstream, label: str) -> Deed:
    """Let a staged secret take the traffic."""

    def run(home: Home, typed: Typed) -> Done:
        staged = home.credentials.staged(upstream.name, label)
        _try(home, typed, upstream, staged)
        overlap = parse_duration(typed["overlap"])
        current, _ = home.credentials.promote(upstream.name, label, overlap=overlap, only=staged)
        return Done(f"{upstream.name} goes with its new credential {current.label}")

    return Deed(
        f"Let the staged credential of {upstream.name} take the traffic",
        "Promote",
        run,
        fields=(
            Field("overlap", "old one works on for", initial=OVERLAP, check=checked(parse_duration), required=True),
            Field("test", "test it with a real call", initial="yes", choices=YES_NO),
        ),
    )


def undo(upstream: Upstream, label: str | None) -> Deed:
    """Back to the old secret."""

    def run(home: Home, _typed: Typed) -> Done:
        current, _ = home.credentials.undo(upstream.name, label)
        return Done(f"{upstream.name} goes with its former credential {current.label} again")

    return Deed(
        f"Undo the rotation of {upstream.name}",
        "Undo",
        run,
        severity=Severity.MODERATE,
        tells=lambda _values: (line(Span("The former secret takes the traffic again, at once.")),),
    )


def retire(upstream: Upstream, label: str | None) -> Deed:
    """End the overlap now."""

    def run(home: Home, _typed: Typed) -> Done:
        ended = home.credentials.retire(upstream.name, label)
        return Done(f"destroyed {len(ended)} old secrets of {upstream.name}")

    return Deed(
        f"Destroy the old secret of {upstream.name}",
        "Destroy",
        run,
        severity=Severity.MODERATE,
        tells=lambda _values: (line(Span("The rotation cannot be undone after this.")),),
    )


def new_account(upstream: Upstream) -> Deed:
    """Another account of the same upstream."""

    def run(home: Home, typed: Typed) -> Done:
        service = home.credentials
        made = service.create(upstream.name, typed["label"], typed.secrets["secret"], weight=int(typed["weight"]))
        _try(home, typed, upstream, made, "; it stays staged, without traffic")
        service.promote(upstream.name, made.label, only=made)
        return Done(f"created credential {made.label} of {upstream.name}")

    return Deed(
        f"Another account of {upstream.name}",
        "Create",
        run,
        fields=(
            Field("label", "label", required=True, example="second"),
            Field("weight", "share of the requests", initial="1", check=_weight, required=True),
            Field("secret", "credential", secret=True, required=True),
            Field("test", "test it with a real call", initial="yes", choices=YES_NO),
        ),
    )


def edit(account: Account) -> Deed:
    """Another share of the requests."""
    upstream, credential = account.upstream, account.credential
    assert credential is not None

    def run(home: Home, typed: Typed) -> Done:
        changed = home.credentials.set_weight(upstream.name, credential.label, int(typed["weight"]))
        return Done(f"{upstream.name} {changed.label} has weight {changed.weight}")

    return Deed(
        f"Share of {upstream.name} {credential.label}",
        "Change",
        run,
        fields=(Field("weight", "share, 0 to 100", str(credential.weight), check=_weight, required=True),),
        tells=lambda _values: (line(Span("Accounts share an upstream's requests by weight; 0 gives new ones none.")),),
    )


def disable(upstream: Upstream) -> Deed:
    def run(home: Home, _typed: Typed) -> Done:
        home.upstreams.disable(upstream.name)
        return Done(f"disabled {upstream.name}")

    return Deed(
        f"Disable upstream {upstream.name}",
        "Disable",
        run,
        severity=Severity.MODERATE,
        tells=lambda _values: (line(Span("It gets no more requests; routes go on to their next target.")),),
    )


def enable(upstream: Upstream) -> Deed:
    def run(home: Home, _typed: Typed) -> Done:
        home.upstreams.enable(upstream.name)
        return Done(f"enabled {upstream.name}")

    return Deed(f"Enable upstream {upstream.name}", "Enable", run)


def delete(account: Account, *, alone: bool) -> Deed:
    """The upstream where the account is its only one, else the account."""
    upstream, credential = account.upstream, account.credential

    def whole(home: Home, _typed: Typed) -> Done:
        home.upstreams.delete(upstream.name)
        return Done(f"deleted upstream {upstream.name}")

    if alone or credential is None:
        told = "The upstream and all its credentials are gone for good. What it served stays in the ledger."
        return _deletion(f"Delete upstream {upstream.name}", whole, told, upstream.name)

    def one(home: Home, _typed: Typed) -> Done:
        home.credentials.delete(upstream.name, credential.label)
        return Done(f"deleted credential {credential.label} of {upstream.name}")

    told = "This account and all its secrets are gone for good; the others take its requests."
    return _deletion(f"Delete credential {credential.label} of {upstream.name}", one, told, credential.label)


def _deletion(title: str, run: object, told: str, name: str) -> Deed:
    return Deed(
        title,
        "Delete",
        run,  # type: ignore[arg-type]
        severity=Severity.SEVERE,
        name=name,
        tells=lambda _values: (line(Span(told)),),
    )


def rotate_data_keys() -> Deed:
    """Seal every record under new data keys."""

    def run(home: Home, _typed: Typed) -> Done:
        home.vault.unlock(Compartment.UPSTREAM)
        done = [home.data_keys.rotate(each) for each in Compartment]
        return Done(f"sealed {sum(each.rewrapped for each in done):,} records under new data keys")

    return Deed(
        "Rotate the data keys",
        "Rotate",
        run,
        severity=Severity.MODERATE,
        tells=lambda _values: (
            line(Span("Every record is sealed anew while the gateway serves; the old keys are destroyed.")),
        ),
    )


def rotate_pepper() -> Deed:
    """A new pepper for tokens."""

    def run(home: Home, _typed: Typed) -> Done:
        version = home.peppers.rotate()
        return Done(f"new tokens use pepper {version}; the others move to it when they are next used")

    return Deed(
        "Rotate the pepper",
        "Rotate",
        run,
        severity=Severity.MODERATE,
        tells=lambda _values: (line(Span("New keys get it at once, each other one when it is next used.")),),
    )
