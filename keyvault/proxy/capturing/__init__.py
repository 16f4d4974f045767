"""Capturing: which requests are sampled, what is kept of them on their way, and the thread that writes it down."""
