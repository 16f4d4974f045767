"""Readers: ask a home's services and give back one `Snapshot` for each `Question` of a view.

They only read, never unlock the vault, and raise `GatewayError` where the home cannot be read. One module for each
view; `home` hands a question to the right one.
"""
