"""Arguments and options that several commands share, and how their texts become values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final

import typer

from keyvault.domain.names import parse_duration
from keyvault.errors import UsageError
from keyvault.secrets import Secret
from opsconsole.cli.completion import names_of
from opsconsole.cli.io import IO

_PLAIN: Final = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")

KeyName = Annotated[str, typer.Argument(metavar="NAME", help="The key's name.", autocompletion=names_of("keys"))]
UpstreamName = Annotated[
    str, typer.Argument(metavar="NAME", help="The upstream's name.", autocompletion=names_of("upstreams"))
]
CustomerName = Annotated[
    str, typer.Argument(metavar="NAME", help="The customer's name.", autocompletion=names_of("customers"))
]
ProjectPath = Annotated[
    str, typer.Argument(metavar="CUSTOMER/PROJECT", help="Such as acme/web.", autocompletion=names_of("projects"))
]
NewName = Annotated[str, typer.Argument(metavar="NAME", help="1 to 64 letters, digits, '.', '_' or '-'.")]

Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="NAME=VALUE", help="May be given more than once.")]
Confirm = Annotated[str | None, typer.Option("--confirm", metavar="NAME", help="Confirms without asking.")]
Suspend = Annotated[bool, typer.Option("--suspend", help="Refuse all its keys until resumed.")]
Resume = Annotated[bool, typer.Option("--resume", help="Admit its keys again.")]

Limit = Annotated[int, typer.Option("-n", "--limit", metavar="COUNT", min=1, max=100_000, help="The newest so many.")]

SecretStdin = Annotated[bool, typer.Option("--secret-stdin", help="Read the secret from stdin.")]
SecretFile = Annotated[Path | None, typer.Option("--secret-file", metavar="FILE", help="Read the secret from a file.")]


def tags(texts: Sequence[str] | None) -> dict[str, str]:
    """`["team=web"]` → `{"team": "web"}`; raises `UsageError`."""
    pairs = [text.partition("=") for text in texts or ()]
    for name, equals, _ in pairs:
        if not (name and equals):
            raise UsageError(f"not a tag: {name[:40]!a}", hint="write it as --tag NAME=VALUE")
    return {name: value for name, _, value in pairs}


def parts(text: str | None) -> tuple[str, ...]:
    """`a, b` → `("a", "b")`."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def listed(option: str, text: str | None, *, otherwise: str) -> tuple[str, ...] | None:
    """The parts of an option's list, None where it was left out. Raises `UsageError` for a list of nothing: an empty
    variable in a script must not read as "no restriction"."""
    if text is None:
        return None
    if not (found := parts(text)):
        raise UsageError(f"{option} names nothing", hint=otherwise)
    return found


def something(*values: object) -> None:
    """Raises `UsageError` where every option of an update was left out."""
    if all(value is None or value is False for value in values):
        raise UsageError("nothing to change", hint="name what to change; see --help")


def suspended(suspend: bool, resume: bool) -> bool | None:
    """What `--suspend` and `--resume` say together: None when neither was given."""
    if suspend and resume:
        raise UsageError("--suspend and --resume ask for opposite things", hint="give one of them")
    return suspend if suspend or resume else None


def number(text: str) -> Decimal:
    """A plain decimal such as `1.15`; raises `UsageError`."""
    if not _PLAIN.fullmatch(text.strip()):
        raise UsageError(f"not a plain number: {text[:40]!a}", hint="write it like 1.15")
    return Decimal(text.strip())


def moment(text: str, now: datetime, *, past: bool, zone: tzinfo = UTC) -> datetime:
    """`90d` from now (ago with `past`), a date, or a date and time; one that names no zone is of `zone`."""
    try:
        if text[:1].isdigit() and text[-1:].isalpha() and text[-1:] != "Z":
            return now - parse_duration(text) if past else now + parse_duration(text)
        parsed = datetime.fromisoformat(text)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        hint = "write it like 24h, 2026-10-01 or 2026-10-01T12:00Z"
        raise UsageError(f"not a time: {text[:40]!a}", hint=hint) from None


def given_secret(
    io: IO, *, prompt: str, from_stdin: bool, file: Path | None, missing: str, repeat: bool = False
) -> Secret:
    """A secret from stdin, a file or a prompt; raises `UsageError` saying `missing` where nobody can be asked."""
    if from_stdin and file:
        raise UsageError("--secret-stdin and --secret-file are two sources", hint="give one of them")
    if from_stdin:
        return io.secret_from_stdin()
    if file:
        return io.secret_from_file(file)
    if not io.can_ask:
        raise UsageError(missing, hint="--secret-stdin or --secret-file FILE")
    return io.ask_secret(prompt, repeat=repeat)
