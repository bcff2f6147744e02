"""To the destinations: C-STORE and STOW-RS; and C-FIND, which asks an archive what it has."""
