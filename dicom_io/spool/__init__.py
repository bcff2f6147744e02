"""The truth on disk: what was received, how far it came, and what came of it."""
