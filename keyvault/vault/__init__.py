"""Credentials at rest: sealing, the slots that open the vault, and the upstreams whose secrets it keeps."""
