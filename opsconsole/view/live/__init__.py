"""The Live view: what goes through the gateway now, who uses it, what it costs, and whether it works."""
