"""A readiness: what its steps found, and the forms in which that is told."""
