"""Reads keys from a table, CSV or JSON, as `gwctl keys export` writes it. An empty cell leaves a field as it is.

Spreadsheets run cells that begin like formulas, so the writer puts an apostrophe before such a text; it is taken off
here. Every error says in which row and field.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from keyvault.domain.documents import unknown
from keyvault.domain.names import fold, shown
from keyvault.errors import ConfigurationError
from keyvault.tenants import fields
from keyvault.tenants.fields import KEY_FIELDS, Table
from keyvault.tenants.wanted import Wanted, WantedKey

NAME: Final = "name"
LARGEST_CELL: Final = 128 * 1024
_FORMULA_STARTS: Final = ("=", "+", "-", "@")
_LISTS: Final = ("models", "endpoints", "addresses")
_FLAGS: Final = {"true": True, "false": False}

Row = Mapping[str, Any]


def read_keys(text: str, file: str, *, makes_projects: bool) -> Wanted:
    """What a table of keys wants. Raises `ConfigurationError`."""
    rows = _json_rows(text, file) if text.lstrip()[:1] in ("{", "[") else _csv_rows(text, file)
    keys, seen = [], set[str]()
    for where, row in rows:
        key = _key(where, row)
        if fold(key.name) in seen:
            raise ConfigurationError(f"{where}: key {key.name} for the second time: case does not count")
        seen.add(fold(key.name))
        keys.append(key)
    return Wanted(keys=tuple(keys), makes_projects=makes_projects)


def _key(where: str, row: Row) -> WantedKey:
    name = row.get(NAME)
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"{where}: a key without a name")
    values = {field: value for field, value in row.items() if field != NAME}
    return fields.key(name, Table(values, lambda field: f"{where}: {field}" if field else where))


def _json_rows(text: str, file: str) -> Iterator[tuple[str, Row]]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"{file}: {str(error).lower()}") from None
    except RecursionError:
        raise ConfigurationError(f"{file}: nested too deeply") from None
    if isinstance(found, dict):
        found = found.get("keys")
    if not isinstance(found, list):
        raise ConfigurationError(f"{file}: expected a list of keys", hint="gwctl keys export -o json")
    for number, row in enumerate(found):
        where = f"{file}: keys[{number}]"
        if not isinstance(row, dict):
            raise ConfigurationError(f"{where}: expected an object")
        yield where, {field: value for field, value in row.items() if value is not None}


def _csv_rows(text: str, file: str) -> Iterator[tuple[str, Row]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        for field in header:
            if field not in (NAME, *KEY_FIELDS):
                raise unknown(f"{file}:1", "column", field, (NAME, *KEY_FIELDS))
        if len(set(header)) < len(header) or NAME not in header:
            raise ConfigurationError(f"{file}:1: expected each column once, and the column name")
        for cells in reader:
            if cells:
                yield _csv_row(f"{file}:{reader.line_num}", header, cells)
    except csv.Error as error:
        raise ConfigurationError(f"{file}:{reader.line_num}: {str(error).lower()}") from None


def _csv_row(where: str, header: list[str], cells: list[str]) -> tuple[str, Row]:
    if len(cells) != len(header):
        raise ConfigurationError(f"{where}: {len(cells)} cells under {len(header)} columns")
    values = zip(header, cells, strict=True)
    return where, {field: _value(where, field, cell) for field, cell in values if cell != ""}


def _value(where: str, field: str, cell: str) -> Any:
    """A cell as the value that its field has in other files."""
    if len(cell) > LARGEST_CELL:
        raise ConfigurationError(f"{where}: {field}: longer than 128 KiB")
    if cell[:1] == "'" and cell[1:2] in _FORMULA_STARTS:
        cell = cell[1:]
    if field == "tags" or (field in _LISTS and cell.lstrip().startswith("[")):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            raise ConfigurationError(f"{where}: {field}: not JSON: {shown(cell)}") from None
    if field in _LISTS:
        return [part.strip() for part in cell.split(",") if part.strip()]
    return _FLAGS.get(cell.lower(), cell) if field in ("expose", "pin", "isolation", "clamp") else cell
