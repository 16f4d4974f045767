"""The data plane: two asyncio protocols on uvloop and httptools, and the story between them in `gateway`."""
