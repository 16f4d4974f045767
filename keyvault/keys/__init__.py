"""Downstream keys: their token format, their life, and who is calling."""
