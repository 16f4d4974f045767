"""The Usage view: who used what and what it cost, turned about, drilled into, drawn."""
