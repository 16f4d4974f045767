"""The staging kit: what proves a gateway before production."""
