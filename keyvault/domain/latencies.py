"""The latency histogram of the ledger's totals: apart from the ledger's values, as the schema needs nothing else."""

from __future__ import annotations

from typing import Final

LATENCY_BOUNDS_MS: Final = (25, 50, 100, 200, 300, 400, 600, 800, 1200, 1600, 2400, 3200, 6400, 12800, 51200)
"""Upper bounds of the buckets, each exclusive."""
