"""Delivery to destinations by C-STORE and STOW-RS, and queries of an archive by C-FIND."""
