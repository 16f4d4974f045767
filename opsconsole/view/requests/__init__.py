"""The Requests view: the newest requests as they end, older ones page by page, and one with all its attempts."""
