"""Customers, projects and keys as a file says they should be: read, compared with what is, and made so."""
