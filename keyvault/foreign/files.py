"""Reads what other gateways write: YAML, JSON, and CSV as databases export it. Nothing in a file is ever run."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Any, Final

from keyvault.errors import ConfigurationError

LARGEST: Final = 32 * 1024 * 1024
_YES: Final = frozenset({"t", "true", "1", "yes"})

Row = Mapping[str, Any]


def read_yaml(text: str, file: str) -> Any:
    """Plain values of a YAML (or JSON) text. Raises `ConfigurationError` with the line."""
    try:
        import yaml
    except ImportError:
        hint = "pip install 'opsconsole[import]', or convert the file to JSON"
        raise ConfigurationError(f"{file}: YAML needs a library that is not installed", hint=hint) from None
    try:
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{file}:{mark.line + 1}" if mark else file
        raise ConfigurationError(f"{where}: not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError):
        raise ConfigurationError(f"{file}: not YAML") from None
    except RecursionError:
        raise ConfigurationError(f"{file}: nested too deeply") from None


def read_json(text: str, file: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"{file}: {str(error).lower()}") from None
    except RecursionError:
        raise ConfigurationError(f"{file}: nested too deeply") from None


def read_csv(text: str, file: str) -> list[Row]:
    """Rows by column name; empty cells are left out."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, restkey="")
    try:
        return [{name: cell for name, cell in row.items() if name and cell} for row in reader]
    except csv.Error as error:
        raise ConfigurationError(f"{file}:{reader.line_num}: {str(error).lower()}") from None


def is_json(text: str) -> bool:
    return text.lstrip()[:1] in ("{", "[")


def texts(value: Any) -> list[str]:
    """A list of texts, as JSON, with commas, or as a PostgreSQL array such as `{a,"b c"}`."""
    if isinstance(value, str):
        if value.startswith("["):
            return texts(json.loads(value)) if _is_json_list(value) else []
        if value.startswith("{") and value.endswith("}"):
            value = next(csv.reader([value[1:-1]], escapechar="\\"), [])
        else:
            value = value.split(",")
    return [part.strip() for part in value if isinstance(part, str) and part.strip()] if isinstance(value, list) else []


def table(value: Any) -> dict[str, Any]:
    """An object, as JSON where it is a text; empty for anything else."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def number(value: Any) -> int | None:
    try:
        return int(str(value).strip()[:20])
    except ValueError:
        return None


def flag(value: Any) -> bool:
    return value is True or str(value).strip().lower() in _YES


def _is_json_list(text: str) -> bool:
    try:
        return isinstance(json.loads(text), list)
    except (ValueError, RecursionError):
        return False
