"""To the destinations: C-STORE, STOW-RS, storage commitment, and the trail of who got what."""
