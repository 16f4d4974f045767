"""Whether a value keeps to a JSON schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any


def violations(schema: Any, value: Any) -> Iterator[str]:
    """What of a schema a value breaks, each as one line that says where; nothing where it keeps to it.

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
            yield f"{error.json_path}: {error.message[:200]}"
    except (SchemaError, Unresolvable, RecursionError, re.error):
        return
