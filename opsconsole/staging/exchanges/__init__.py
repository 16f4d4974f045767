"""Requests of the past, with what came of them: read from whatever logged them."""

from opsconsole.staging.exchanges.exchange import Exchange, Recorded, Unusable
from opsconsole.staging.exchanges.reading import read, read_file, read_lines

__all__ = ["Exchange", "Recorded", "Unusable", "read", "read_file", "read_lines"]
