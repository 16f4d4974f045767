"""Pure functions from snapshots to rows, text and charts: no Textual, no SQL."""
