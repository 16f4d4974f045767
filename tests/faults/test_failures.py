"""Every way for a provider to fail, streaming or not: who serves, what the SDK sees, what is charged."""

from __future__ import annotations

import pytest

from tests.faults.failures import table


@pytest.mark.timeout(60)
async def test_whatever_fails_is_served_by_the_fallback_or_ends_in_an_error_and_is_charged_at_most_once() -> None:
    found = await table()
    wrong = [f"{row.fault}, stream {row.stream}: saw {row.saw!r}: {row.problems}" for row in found if row.problems]
    assert wrong == []
