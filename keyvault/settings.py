"""Settings: read once, frozen, each knowing where its value came from.

Order: environment, `config.toml` in the configuration directory, default. A name `serve.listen` is `listen` in the
table `[serve]` of the file and `GWCTL_SERVE_LISTEN` in the environment. An unknown name in the file is an error.
`GWCTL_HOME` puts configuration, data and state under one roof; without it platformdirs decides.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from keyvault.errors import ConfigurationError

MEGABYTE: Final = 1024 * 1024
PREFIX: Final = "GWCTL_"
VARIABLES: Final = (
    "GWCTL_HOME",
    "GWCTL_UNLOCK_FD",
    "GWCTL_KEY_FILE",
    "GWCTL_KEY_FILE_MANAGED",
    "GWCTL_UNLOCK_COMMAND",
    "GWCTL_PASSPHRASE_FD",
    "GWCTL_NEW_PASSPHRASE_FD",
)
"""Variables of our own that are no settings."""


def _setting(
    name: str,
    default: Any,
    help: str,  # noqa: A002 - as it reads
    *,
    words: tuple[str, ...] = (),
    secret: bool = False,
) -> Any:
    """`words`: the only values there are; any where empty. `secret`: never shown."""
    return field(default=default, repr=not secret, metadata={"name": name, "help": help, "words": words})


@dataclass(frozen=True, slots=True)
class Paths:
    """Where a home's files are. The directories are made 0700 when first needed."""

    config: Path
    data: Path
    state: Path
    one_roof: bool
    """All three below `GWCTL_HOME`: convenient, but a key file then lies beside the database it opens."""

    @property
    def config_file(self) -> Path:
        return self.config / "config.toml"

    @property
    def database_file(self) -> Path:
        return self.data / "gateway.db"

    @property
    def captures(self) -> Path:
        """The directory of what this machine has captured."""
        return self.data / "captures"

    @property
    def key_file(self) -> Path:
        return self.config / "unlock.key"

    @property
    def journal_file(self) -> Path:
        return self.state / "journal.jsonl"

    @property
    def spending_file(self) -> Path:
        return self.state / "spending.json"

    @property
    def lock_file(self) -> Path:
        return self.state / "serve.lock"

    def make(self) -> None:
        for directory in (self.config, self.data, self.state):
            _make_private(directory)

    @classmethod
    def find(cls, environ: Mapping[str, str] = os.environ) -> Paths:
        if root := environ.get("GWCTL_HOME"):
            home = Path(root).expanduser().absolute()
            return cls(home / "config", home / "data", home / "state", one_roof=True)
        import platformdirs

        dirs = platformdirs.PlatformDirs("gwctl")
        return cls(dirs.user_config_path, dirs.user_data_path, dirs.user_state_path, one_roof=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, with safe defaults. Sizes in bytes, times in seconds."""

    database_url: str = _setting(
        "database.url", "", "sqlite:///PATH or postgresql://…; empty: a file in the data directory"
    )
    durability: str = _setting(
        "database.durability",
        "process",
        "process: survives a crash; power: also a power cut",
        words=("process", "power"),
    )
    listen: str = _setting("serve.listen", "127.0.0.1:8900", "address clients connect to")
    admin: str = _setting("serve.admin", "127.0.0.1:8901", "loopback address of /healthz, /readyz and /metrics")
    tls_cert: str = _setting("serve.tls_cert", "", "certificate chain (PEM) for clients; empty: plain http")
    tls_key: str = _setting("serve.tls_key", "", "private key (PEM) of serve.tls_cert")
    default_upstream: str = _setting(
        "serve.default_upstream", "", "serves requests that name no known model; empty: the only upstream"
    )
    trusted_proxies: tuple[str, ...] = _setting(
        "serve.trusted_proxies", (), "networks of the proxies in front, whose X-Forwarded-For is believed"
    )
    environments: tuple[str, ...] = _setting(
        "serve.environments", ("live", "test"), "whose keys are known here", words=("live", "test")
    )
    key_models: tuple[str, ...] = _setting("keys.models", (), "a new key's models, such as gpt-5*; empty: all")
    key_endpoints: tuple[str, ...] = _setting("keys.endpoints", ("default",), "a new key's endpoints")
    key_addresses: tuple[str, ...] = _setting("keys.addresses", (), "networks a new key may call from; empty: any")
    key_expires: str = _setting("keys.expires", "", "after how long a new key expires, such as 90d; empty: never")
    key_env: str = _setting("keys.env", "live", "a new key's environment", words=("live", "test"))
    key_rotate_every: str = _setting(
        "keys.rotate_every", "", "when a new key's secret is due for rotation, such as 30d; empty: never by itself"
    )
    key_grace: str = _setting("keys.grace", "24h", "how long the old secret works on after a rotation")
    max_body: int = _setting("limits.body", 64 * MEGABYTE, "largest request body")
    max_bodies: int = _setting("limits.bodies", 512 * MEGABYTE, "all request bodies held at once")
    max_head: int = _setting("limits.head", 64 * 1024, "largest request head")
    max_headers: int = _setting("limits.headers", 100, "most header lines in a request")
    max_collected: int = _setting(
        "limits.collected", 8 * MEGABYTE, "answers up to this size are collected before they are sent"
    )
    max_connections: int = _setting("limits.connections", 10_000, "most client connections at once")
    connect_timeout: float = _setting("timeouts.connect", 10.0, "connecting to a provider, TLS included")
    first_content_timeout: float = _setting("timeouts.first_content", 300.0, "until a provider's first content")
    idle_timeout: float = _setting("timeouts.idle", 120.0, "between two pieces of a provider's answer")
    total_timeout: float = _setting("timeouts.total", 1800.0, "a whole request, all attempts")
    head_timeout: float = _setting("timeouts.head", 15.0, "for a client to send a request's head")
    body_timeout: float = _setting("timeouts.body", 30.0, "between two pieces of a client's body")
    write_timeout: float = _setting("timeouts.write", 60.0, "for a client that does not read to take more")
    keep_alive_timeout: float = _setting("timeouts.keep_alive", 75.0, "an idle client connection")
    drain_timeout: float = _setting("timeouts.drain", 30.0, "for requests in flight at SIGTERM")
    log_format: str = _setting(
        "log.format", "auto", "json, console, or auto: console on a terminal", words=("json", "console", "auto")
    )
    log_level: str = _setting(
        "log.level", "info", "debug, info, warning or error", words=("debug", "info", "warning", "error")
    )
    webhook: str = _setting(
        "alerts.webhook", "", "URL that alerts are posted to, https or on this machine; empty: none", secret=True
    )
    webhook_format: str = _setting(
        "alerts.webhook_format", "json", "json: all of an alert; slack: a line of text", words=("json", "slack")
    )
    webhook_secret_file: str = _setting(
        "alerts.webhook_secret_file", "", "file with the secret that messages are signed with; empty: not signed"
    )
    webhook_plain: bool = _setting("alerts.webhook_plain", False, "the webhook may be plain http on another machine")
    allow_unsound_sqlite: bool = _setting(
        "database.allow_unsound_sqlite", False, "serve on a SQLite build with the WAL-reset bug"
    )
    sources: Mapping[str, str] = field(default_factory=dict)
    """Setting name → `default`, the file's path, or the environment variable."""

    @classmethod
    def load(cls, paths: Paths, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the file and the environment; raises `ConfigurationError` naming file and key."""
        written = _flatten(_read_toml(paths.config_file), paths.config_file)
        values: dict[str, Any] = {}
        sources: dict[str, str] = {}
        for spec in fields(cls):
            name = spec.metadata.get("name")
            if name is None:
                continue
            variable, where = variable_of(name), f"{paths.config_file}: {name}"
            if variable in environ:
                values[spec.name], sources[name] = _from_text(environ[variable], spec.default, variable), variable
                written.pop(name, None)
                where = variable
            elif name in written:
                values[spec.name], sources[name] = (
                    _from_toml(written.pop(name), spec.default, where),
                    str(paths.config_file),
                )
            else:
                sources[name] = "default"
                continue
            _check_word(values[spec.name], spec.metadata["words"], where)
        if written:
            raise ConfigurationError(
                f"{paths.config_file}: no such setting: {min(written)}", hint="gwctl help settings"
            )
        if not values.get("database_url"):
            values["database_url"] = f"sqlite:///{paths.database_file}"
        return cls(**values, sources=sources)

    @classmethod
    def documented(cls) -> list[tuple[str, Any, str]]:
        """(name, default, help) of every setting, in order."""
        return [(f.metadata["name"], f.default, f.metadata["help"]) for f in fields(cls) if "name" in f.metadata]


def _make_private(directory: Path) -> None:
    """Make a directory, and those above it that are missing, for this user alone: `mkdir -p` makes those as open as the
    umask lets it."""
    if directory.exists():
        return
    _make_private(directory.parent)
    directory.mkdir(mode=0o700, exist_ok=True)


def variable_of(setting: str) -> str:
    """`serve.listen` → `GWCTL_SERVE_LISTEN`."""
    return PREFIX + setting.upper().replace(".", "_")


def unknown_variables(environ: Mapping[str, str] = os.environ) -> list[tuple[str, str | None]]:
    """Variables that look like ours and that nothing reads, each with the name that was probably meant."""
    known = [*VARIABLES, *(variable_of(name) for name, _, _ in Settings.documented())]
    unknown = sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
    return [(name, next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.8)), None)) for name in unknown]


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: {str(error).lower()}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from None


def _flatten(tree: dict[str, Any], path: Path) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for section, table in tree.items():
        if not isinstance(table, dict):
            raise ConfigurationError(f"{path}: {section}: a setting belongs in a table", hint="gwctl help settings")
        flat.update({f"{section}.{name}": value for name, value in table.items()})
    return flat


def _from_toml(value: Any, default: Any, where: str) -> Any:
    if isinstance(default, tuple) and isinstance(value, list) and all(isinstance(part, str) for part in value):
        return tuple(value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not type(default):
        raise ConfigurationError(f"{where}: expected {_kind(default)}, got {_kind(value)}")
    return _positive(value, where)


def _from_text(text: str, default: Any, where: str) -> Any:
    try:
        if isinstance(default, bool):
            return {"1": True, "true": True, "0": False, "false": False}[text.lower()]
        if isinstance(default, tuple):
            return tuple(part.strip() for part in text.split(",") if part.strip())
        return _positive(type(default)(text), where)
    except (ValueError, KeyError):
        raise ConfigurationError(f"{where}: expected {_kind(default)}, got {text[:40]!a}") from None


def _check_word(value: Any, words: tuple[str, ...], where: str) -> None:
    for word in value if isinstance(value, tuple) else (value,):
        if words and word not in words:
            raise ConfigurationError(f"{where}: no such choice: {word[:40]!a}", hint=f"one of {', '.join(words)}")


def _positive(value: Any, where: str) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool) and not 0 < value < 2**53:
        raise ConfigurationError(f"{where}: must be greater than zero")
    return value


def _kind(value: Any) -> str:
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", tuple: "a list of texts"}
    return kinds.get(type(value), type(value).__name__)
