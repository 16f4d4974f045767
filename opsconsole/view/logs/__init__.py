"""The logs a person can open over any view: who changed what, and what went wrong where nobody was looking."""
