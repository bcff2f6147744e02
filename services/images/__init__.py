"""Images that callers name: found within the shared roots, opened once, read within limits."""
