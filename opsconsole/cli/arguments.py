"""Arguments and options that several commands share, and how their texts become values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from keyvault.domain.typed import parts
from keyvault.errors import UsageError
from keyvault.secrets import Secret
from opsconsole.cli.completion import names_of
from opsconsole.cli.io import IO

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


def given_secret(
    io: IO,
    *,
    prompt: str,
    from_stdin: bool,
    file: Path | None,
    missing: str,
    repeat: bool = False,
    options: str = "--secret-stdin or --secret-file FILE",
) -> Secret:
    """A secret from stdin, a file or a prompt; raises `UsageError` saying `missing` where nobody can be asked.
    `options`: how it can be given."""
    if from_stdin and file:
        raise UsageError("a secret is given twice", hint=f"give one of them: {options}")
    if from_stdin:
        return io.secret_from_stdin()
    if file:
        return io.secret_from_file(file)
    if not io.can_ask:
        raise UsageError(missing, hint=options)
    return io.ask_secret(prompt, repeat=repeat)
