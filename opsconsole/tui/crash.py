"""What the console prints when it breaks: where, never with which values.

Textual prints the local variables of every frame and the exception's text; both may hold a secret. Here only the kind
of the error and the places in the code are told. A `GatewayError` may speak, its messages never hold a secret.
"""

from __future__ import annotations

import traceback

from keyvault.errors import GatewayError


def report(error: BaseException) -> str:
    """A traceback without values."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
    said = f": {error.message}" if isinstance(error, GatewayError) else ""
    lines = [f"gwctl: the console stopped on an internal error: {type(error).__name__}{said}", *places]
    if error.__cause__ is not None:
        lines += ["caused by", report(error.__cause__)]
    return "\n".join(lines)
