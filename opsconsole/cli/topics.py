"""The help topics: `gwctl help TOPIC`.

What the program knows (settings, exit codes, headers) is read from it, so that a topic cannot say something else.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Final

from keyvault.errors import Exit

if TYPE_CHECKING:
    from opsconsole.tui.actions import Action

_ENVIRONMENT: Final = """\
GWCTL_HOME             one root for configuration, data and state; without it the platform's own directories
NO_COLOR, FORCE_COLOR  colours off, colours on; --color comes first
HTTPS_PROXY, NO_PROXY  honoured towards providers, as are HTTP_PROXY and ALL_PROXY

Where the vault's unlock secret comes from, in this order; what is absent is passed over, what is broken is an error:
GWCTL_UNLOCK_FD        an open file descriptor
CREDENTIALS_DIRECTORY  systemd's credentials; the one named gwctl-unlock
GWCTL_KEY_FILE         a key file instead of unlock.key in the configuration directory;
                       GWCTL_KEY_FILE_MANAGED=1 where Kubernetes or systemd keeps it
GWCTL_UNLOCK_COMMAND   a command that prints it
                       (the OS keyring)
GWCTL_PASSPHRASE_FD    an open file descriptor with the passphrase
                       (a prompt, on a terminal)
GWCTL_NEW_PASSPHRASE_FD is read by gwctl vault change-passphrase alone: the passphrase that is to open from then on.

Every setting can be given as a variable: serve.listen is GWCTL_SERVE_LISTEN (gwctl help settings).
"""

_FORMATS: Final = """\
-o table   aligned columns; on a terminal times are relative and money is rounded, to a pipe neither
-o json    one document; the same as --json
-o jsonl   one object per line
-o csv     a heading and one line per row
-o name    only names, for xargs and loops
-o secret  only the secret of a new key (keys create, keys rotate)
-o toml    the file that says what is shown (routes show)
-o md      a Markdown table (usage report)
-o html    one page with charts, complete in itself (usage report)
-o junit   JUnit XML, for CI (check)

Data goes to stdout, everything else to stderr. JSON is an API: names are snake_case and stay, times are RFC 3339 in
UTC, money is an exact decimal string beside `currency`, what is not known is null. New fields may appear.
"""

_MEANINGS: Final = {
    Exit.OK: "done; an empty list is this too",
    Exit.FAILURE: "failure",
    Exit.USAGE: "usage or configuration: the command cannot be meant as written",
    Exit.NOT_FOUND: "not found",
    Exit.LOCKED: "locked, or not authorised",
    Exit.UNAVAILABLE: "something needed does not answer; try again",
    Exit.CONFLICT: "conflict or busy: it exists already, or its state forbids this",
    Exit.CHECK_FAILED: "a check or guard did not hold",
    Exit.INTERRUPTED: "interrupted",
}

TOPICS: Final = {
    "environment": "Variables the program reads.",
    "formats": "What -o and --json print.",
    "exit-codes": "What the exit code says.",
    "settings": "Everything that can be set, with defaults.",
    "headers": "Which headers are passed on, both ways.",
    "console-keys": "What the console's keys do, by view; the names that console.toml goes by.",
}


def text(topic: str) -> str:
    """The text of a topic in `TOPICS`."""
    if topic == "exit-codes":
        return "".join(f"{int(code):3}  {_MEANINGS[code]}\n" for code in Exit)
    if topic == "settings":
        return _settings()
    if topic == "headers":
        return _headers()
    if topic == "console-keys":
        return _console()
    return {"environment": _ENVIRONMENT, "formats": _FORMATS}[topic]


def _settings() -> str:
    from keyvault.settings import Settings

    head = (
        "In config.toml, `serve.listen` is `listen` in the table [serve]; in the environment GWCTL_SERVE_LISTEN,\n"
        "which comes first; a list is then written with commas. Sizes are bytes, times seconds.\n\n"
    )
    return head + "".join(f"{name} = {_toml(default)}\n    {text}\n" for name, default, text in Settings.documented())


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _headers() -> str:
    from keyvault.proxy.headers import TABLE

    lines = [f"{'HEADERS':30}  {'REQUEST':10}  {'ANSWER':10}  WHY"]
    for rule in TABLE:
        first, *others = textwrap.wrap(", ".join(rule.names), 30, break_on_hyphens=False)
        lines.append(f"{first:30}  {rule.request:10}  {rule.answer:10}  {rule.why}")
        lines += others
    return "\n".join(lines) + "\n\nEverything else is stripped, both ways.\n"


def _console() -> str:
    from opsconsole.tui.actions import CONSOLE_ACTIONS
    from opsconsole.tui.registry import all_actions

    parts = {"everywhere": CONSOLE_ACTIONS} | {
        name: tuple(action for action in actions if action not in CONSOLE_ACTIONS)
        for name, actions in all_actions().items()
    }
    head = (
        'Under [keys] of console.toml a name gets other keys: rotate = "ctrl+t,f5". What begins with g is chosen from\n'
        "a menu and keeps its letter. * changes something: it is not there under --read-only.\n"
    )
    return head + "".join(
        f"\n{name}\n" + "".join(f"  {_action(action)}\n" for action in actions) for name, actions in parts.items()
    )


def _action(action: Action) -> str:
    return f"{action.shown_keys:<16} {action.id:<16} {action.tip}{' *' if action.changes else ''}"
