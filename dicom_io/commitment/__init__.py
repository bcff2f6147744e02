"""Storage commitment (PS3.4 annex J): asked for at a destination, and answered."""
