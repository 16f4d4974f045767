"""Frozen values and pure rules: the product's nouns. Nothing here reads a file, a clock or a database."""
