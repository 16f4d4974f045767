"""Whether a value keeps to a JSON schema, and whether a schema is one to judge by."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError


def violations(schema: Any, value: Any) -> Iterator[str]:
    """What of a schema a value breaks, each as one line that says where and what the schema wants there, never what
    the value is; nothing where it keeps to it.

    A schema that is none, or that points outside itself, is the asker's own mistake: nothing is held against a value.
    Nothing is fetched.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        Draft202012Validator.check_schema(schema)
        for error in Draft202012Validator(schema, registry=Registry()).iter_errors(value):
            yield f"{error.json_path}: {_wanted(error)}"
    except (SchemaError, Unresolvable, RecursionError, re.error):
        return


def unusable(schema: Any) -> str | None:
    """Why a schema cannot be judged by: it is none, or points to what is not in it. None: it can."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    try:
        Draft202012Validator.check_schema(schema)
        resolver = Registry().resolver_with_root(DRAFT202012.create_resource(schema))
        for reference in _references(schema):
            resolver.lookup(reference)
    except SchemaError as error:
        return f"{error.json_path}: {error.message[:200]}"
    except Unresolvable as error:
        return f"its reference {error.ref[:80]!a} leads nowhere"
    except (RecursionError, re.error):
        return "it is nested too deeply, or holds a pattern that is none"
    return None


def _wanted(error: ValidationError) -> str:
    """The part of a schema that is not kept to. Only `required` is told by the library: it names what is missing."""
    if error.validator == "required":
        return error.message[:200]
    return f"not to {error.validator} {json.dumps(error.validator_value)[:160]}"


def _references(schema: Any) -> Iterator[str]:
    """Every `$ref`, wherever it stands."""
    if isinstance(schema, dict):
        if isinstance(reference := schema.get("$ref"), str):
            yield reference
        schema = list(schema.values())
    if isinstance(schema, list):
        for each in schema:
            yield from _references(each)
