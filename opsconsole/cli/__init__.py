"""`gwctl`: thin commands that parse, call a service and present."""
