"""`gwctl alerts`: what went wrong where nobody was looking."""

from __future__ import annotations

from typing import Annotated

import typer

from keyvault.domain.alerts import Alert
from keyvault.errors import NotFound, UsageError
from opsconsole.cli.arguments import Limit
from opsconsole.cli.output import Column, Details, Listing, Row
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import Noun

alerts = Noun(
    "alerts",
    "What went wrong where nobody was looking.",
    examples="gwctl alerts list\ngwctl alerts resolve credential_refused upstream:openai\ngwctl alerts test",
)
app = alerts


@alerts.verb("list", examples="gwctl alerts list\ngwctl alerts list --all --json")
def list_(
    session: Session,
    every: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    limit: Limit = 100,
) -> None:
    """List open alerts, the newest first. Most end by themselves, once what they are about works again."""
    columns = [
        Column("kind"),
        Column("scope"),
        Column("text"),
        Column("count"),
        Column("first_at", "FIRST"),
        Column("last_at", "LAST"),
    ]
    if every:
        columns.append(Column("resolved_at", "OVER SINCE", "open"))
    rows = [alert_row(alert) for alert in session.home.alerts.list(limit, resolved=every)]
    session.show(Listing("alerts", rows, columns, key="kind"))


@alerts.verb("resolve", changes=True, examples="gwctl alerts resolve credential_refused upstream:openai")
def resolve(
    session: Session,
    kind: Annotated[str, typer.Argument(metavar="KIND", help="As `gwctl alerts list` shows it.")],
    scope: Annotated[str, typer.Argument(metavar="SCOPE", help="What it is about, such as upstream:openai.")],
) -> None:
    """Say that an alert has been dealt with. What is still wrong raises it again."""
    if not session.home.alerts.resolve(kind, scope):
        raise NotFound(f"no open alert of this kind: {kind[:60]!a} {scope[:100]!a}", hint="gwctl alerts list")
    session.changed(f"resolved alert {kind} of {scope}")
    session.show(Details({"kind": kind, "scope": scope, "resolved": True}, key="kind"))


@alerts.verb("test", examples="gwctl alerts test")
def test(session: Session) -> None:
    """Send the webhook a message that tells of nothing, and say whether it was taken."""
    import asyncio

    from keyvault.webhook import Webhook, trial

    home = session.home
    webhook = Webhook.of(home.settings, home.environ)
    if webhook is None:
        hint = 'export GWCTL_ALERTS_WEBHOOK=https://…, or [alerts] webhook = "https://…" in config.toml'
        raise UsageError("no webhook is set", hint=hint)
    status = asyncio.run(webhook.tell(trial(home.clock), home.clock))
    session.changed(f"{webhook.shown} took a test message, with http status {status}")
    signed = webhook.secret is not None
    session.show(Details({"webhook": webhook.shown, "taken": True, "status": status, "signed": signed}, key="webhook"))


def alert_row(alert: Alert) -> Row:
    return {
        "kind": alert.kind,
        "scope": alert.scope,
        "text": alert.text,
        "count": alert.count,
        "first_at": alert.first_at,
        "last_at": alert.last_at,
        "resolved_at": alert.resolved_at,
        "sent_at": alert.sent_at,
    }
