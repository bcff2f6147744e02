"""Masks on the shared volume: their names, locks and folders."""
