"""Pictures of the console, made from the real console over a real ledger: `python -m screenshots`."""
