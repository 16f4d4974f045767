"""Trials: one real call with a credential, and its outcome remembered beside the credential and its upstream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from keyvault.domain.vault import Credential
from keyvault.errors import CheckFailed

if TYPE_CHECKING:
    from keyvault.vault.lifecycle import Credentials
    from keyvault.vault.testing import TestResult
    from keyvault.vault.upstreams import Upstreams


class Trials:
    """Makes them; `environ` says by which proxy."""

    def __init__(self, upstreams: Upstreams, credentials: Credentials, environ: Mapping[str, str]) -> None:
        self._upstreams = upstreams
        self._credentials = credentials
        self._environ = environ

    def make(self, name: str, credential: Credential, model: str | None = None, timeout: float = 30.0) -> TestResult:
        """The smallest call there is, of an upstream with one of its credentials. `timeout` in seconds."""
        from keyvault.vault.testing import test_upstream

        result = test_upstream(self._credentials.open(name, credential), model, timeout, environ=self._environ)
        self._credentials.tested(name, credential, result.note if result.ok else result.failure, ok=result.ok)
        if result.ok:
            self._upstreams.record_test(name, result.note)
        return result


def refuse_failure(name: str, result: TestResult, *, hint: str) -> None:
    """Raise `CheckFailed` for a call that was not answered well."""
    if not result.ok:
        raise CheckFailed(f"upstream {name} did not answer well: {result.failure}", hint=hint)
