"""`gwctl upstreams test`, and how every test of a credential is made and told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from keyvault.domain.prices import cost
from keyvault.domain.vault import Upstream
from keyvault.errors import NotFound
from keyvault.money import CURRENCY
from keyvault.vault.trials import refuse_failure
from opsconsole.cli.arguments import UpstreamName
from opsconsole.cli.commands.upstreams.noun import Label, upstreams
from opsconsole.cli.output import Details, Row
from opsconsole.cli.session import Session
from opsconsole.cli.text import Amount, amount

if TYPE_CHECKING:
    from keyvault.home import Home
    from keyvault.vault.testing import TestResult

Model = Annotated[str | None, typer.Option("--model", metavar="MODEL", help="Which model to ask.")]
Timeout = Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=1, max=3600, help="How long to wait.")]


@upstreams.verb("test", examples="gwctl upstreams test openai\ngwctl upstreams test openai --model gpt-5-nano --json")
def try_out(
    session: Session, name: UpstreamName, label: Label = None, model: Model = None, timeout: Timeout = 30.0
) -> None:
    """Make one real call, the smallest there is, and say what it cost. Exit 7 if it was not answered well."""
    home = session.home
    credential = home.upstreams.open(name, label).credential
    result = home.trials.make(name, credential, model, timeout)
    upstream = home.upstreams.get(name)
    session.show(Details({**tested_row(home, upstream, result), "label": credential.label}))
    refuse_failure(upstream.name, result, hint=f"gwctl upstreams show {upstream.name}")
    session.changed(f"upstream {upstream.name} answered in {result.latency_ms} ms ({result.note})")


def tested_row(home: Home, upstream: Upstream, result: TestResult) -> Row:
    priced = _cost(home, upstream, result)
    return {
        "name": upstream.name,
        "ok": result.ok,
        "call": result.call,
        "model": result.model,
        "status": result.status,
        "latency_ms": result.latency_ms,
        "input_tokens": result.usage.input,
        "output_tokens": result.usage.output,
        "cost": priced,
        "currency": CURRENCY,
        "error_code": result.error_code,
        "error_text": result.error_text,
    }


def _cost(home: Home, upstream: Upstream, result: TestResult) -> Amount | None:
    """What the call cost by the price book; None where that is not known. A list of models costs nothing."""
    if result.model is None:
        return Amount(0) if result.ok else None
    try:
        price = home.prices.show(upstream.name, result.model)
    except NotFound:
        return None
    return amount(cost(price.rates, result.usage))
