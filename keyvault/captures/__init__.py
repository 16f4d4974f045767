"""Captures: sampled exchanges kept whole, sealed and apart from the ledger; off unless somebody starts one."""
