"""One error tree for the whole product.

Every error that a person, a script or an API client may see is a `GatewayError`: a stable `code`, the process exit
code, the HTTP status, one lower-case line without a full stop and, where something can be done, a hint to paste.
Messages never contain a secret. Front ends catch `GatewayError` in one place and nothing else.
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Process exit codes, the same for every command."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    NOT_FOUND = 3
    LOCKED = 4
    UNAVAILABLE = 5
    CONFLICT = 6
    CHECK_FAILED = 7
    INTERRUPTED = 130


class GatewayError(Exception):
    """Base of all errors. `message`: what and where, one line. `hint`: what to do about it, or None."""

    code = "internal_error"
    http_status = 500
    exit_code = Exit.FAILURE

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(GatewayError):
    """The caller asked for something that makes no sense as written."""

    code = "invalid_request"
    http_status = 400
    exit_code = Exit.USAGE


class ConfigurationError(UsageError):
    """A setting or a configuration file is wrong; the message names file, key and line where known."""

    code = "invalid_configuration"


class NotFound(GatewayError):
    """The named thing does not exist."""

    code = "not_found"
    http_status = 404
    exit_code = Exit.NOT_FOUND


class Locked(GatewayError):
    """The vault cannot be opened with what is at hand, or the caller may not do this."""

    code = "locked"
    http_status = 503
    exit_code = Exit.LOCKED


class Unavailable(GatewayError):
    """Something needed does not answer now; trying again later may help."""

    code = "unavailable"
    http_status = 503
    exit_code = Exit.UNAVAILABLE


class Damaged(GatewayError):
    """The database file is not what was written into it."""

    code = "damaged"
    http_status = 503


class Conflict(GatewayError):
    """The thing exists already, is busy, or is in a state that forbids this."""

    code = "conflict"
    http_status = 409
    exit_code = Exit.CONFLICT


class CheckFailed(GatewayError):
    """A check or guard did not hold."""

    code = "check_failed"
    exit_code = Exit.CHECK_FAILED


class SealError(GatewayError):
    """Base of what can be wrong with a sealed record; see the subclasses for which."""

    code = "sealed_record"


class Tampered(SealError):
    """A sealed record, its place or its associated data was changed."""

    code = "tampered"


class TamperedRow(Tampered):
    """One row that a change is about was changed; the others are as they should be."""


class RolledBack(SealError):
    """The database is older than what was seen of it before: a backup was put back."""

    code = "rolled_back"
    exit_code = Exit.CONFLICT


class WrongKey(SealError):
    """The unlock secret or key does not belong to this vault or slot."""

    code = "wrong_key"
    exit_code = Exit.LOCKED


class UnknownGeneration(SealError):
    """A sealed record names a data-key generation that is not loaded."""

    code = "unknown_generation"


class FormatTooNew(SealError):
    """The record or database was written by a newer program."""

    code = "format_too_new"


class Refusal(GatewayError):
    """What the proxy answers instead of the provider, in the shape of the request's dialect.

    `status` is the HTTP status, `type` the class of error SDKs switch on, `code` the precise reason, `param` the field
    of the request it is about. `retry_after_seconds` becomes the `Retry-After` header; `retry_after_ms` is the same to
    the millisecond, for SDKs that read it. `hold_seconds`: how long the answer is held back; its connection is closed
    behind it.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        type: str = "invalid_request_error",  # noqa: A002 - the wire's own name for it
        retry_after_seconds: int | None = None,
        retry_after_ms: int | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.error_code = code
        self.retry_after_seconds = retry_after_seconds if retry_after_ms is None else -(-retry_after_ms // 1000)
        self.retry_after_ms = retry_after_ms
        self.param = param
        self.hold_seconds = 0.0
