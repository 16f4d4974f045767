"""The engine: credentials in, metered traffic out. It knows nothing about terminals."""
