"""What can follow the words typed so far, and the scripts that ask for it.

A script calls `gwctl __complete WORD…`, the last word being the one that is typed, and reads `value TAB help` lines.
Names come from a look-up that does not load SQLAlchemy, so that an answer takes less than 200 ms. Any failure means
no candidates: completion must never disturb the line that is being typed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

import typer

Candidate = tuple[str, str]
Kind = Literal["keys", "upstreams", "aliases", "customers", "projects"]

HIDDEN_COMMAND: Final = "__complete"


def names_of(kind: Kind) -> Callable[[typer.Context, str], list[str]]:
    """An argument's completion: the names of one kind of thing in the home."""

    def found(ctx: typer.Context, incomplete: str) -> list[str]:
        from keyvault.settings import Paths, Settings
        from keyvault.storage.names import complete

        return complete(Settings.load(Paths.find(ctx.obj), ctx.obj).database_url, kind, incomplete)

    return found


def names_in(known: Iterable[str]) -> Callable[[], list[str]]:
    """An argument's completion: words that are always the same."""
    return lambda: list(known)


def candidates(root: Any, words: list[str], environ: Mapping[str, str]) -> list[Candidate]:
    """(value, help) of everything that may stand in place of the last word."""
    *before, typed = words or [""]
    command, rest = _descend(root, before)
    context = typer.Context(command, info_name="gwctl", obj=environ)
    if hasattr(command, "commands") and not typed.startswith("-"):
        found = [(name, _summary(command, context, name)) for name in command.list_commands(context)]
    elif (parameter := _awaited(command, context, rest)) is not None and not typed.startswith("-"):
        found = [(item.value, item.help or "") for item in parameter.shell_complete(context, typed)]
    else:
        found = [(name, p.help or "") for p in _options(command, context) for name in p.opts if name.startswith("--")]
    return [(value, text) for value, text in found if value.startswith(typed)]


def _descend(root: Any, words: list[str]) -> tuple[Any, list[str]]:
    """The command that the words lead to, and those that are left for it."""
    command, rest = root, list(words)
    while rest and hasattr(command, "commands"):
        if rest[0].startswith("-"):
            rest.pop(0)
            continue
        inner = command.get_command(None, rest[0])
        if inner is None:
            break
        command = inner
        rest.pop(0)
    return command, rest


def _summary(command: Any, context: typer.Context, name: str) -> str:
    if hasattr(command, "summaries"):
        return str(command.summaries[name])
    return str(command.get_command(context, name).get_short_help_str(80))


def _options(command: Any, context: typer.Context) -> list[Any]:
    return [p for p in command.get_params(context) if p.param_type_name == "option" and not p.hidden]


def _awaited(command: Any, context: typer.Context, rest: list[str]) -> Any:
    """The parameter whose value comes next: of the option just typed, else the next argument; None at the end."""
    values = {name: p for p in _options(command, context) for name in p.opts if not p.is_flag}
    if rest and rest[-1] in values:
        return values[rest[-1]]
    given = [w for n, w in enumerate(rest) if not w.startswith("-") and (n == 0 or rest[n - 1] not in values)]
    arguments = [p for p in command.get_params(context) if p.param_type_name == "argument"]
    if len(given) < len(arguments):
        return arguments[len(given)]
    return arguments[-1] if arguments and arguments[-1].nargs == -1 else None


BASH: Final = r"""_gwctl() {
    local value
    COMPREPLY=()
    while IFS=$'\t' read -r value _; do
        COMPREPLY+=("$(printf %q "$value")")
    done < <(gwctl __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _gwctl gwctl
"""

ZSH: Final = r"""#compdef gwctl
_gwctl() {
    local -a found
    local value text
    while IFS=$'\t' read -r value text; do
        found+=("${value//:/\\:}:$text")
    done < <(gwctl __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
    if (( $#found )); then _describe gwctl found; else _files; fi
}
compdef _gwctl gwctl
"""

FISH: Final = r"""function __gwctl
    set -l words (commandline -opc)
    gwctl __complete $words[2..-1] (commandline -ct) 2>/dev/null
end
complete -c gwctl -f -n '__gwctl | string length -q' -a '(__gwctl)'
"""

SCRIPTS: Final = {"bash": BASH, "zsh": ZSH, "fish": FISH}
