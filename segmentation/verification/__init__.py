"""Checks of a package: golden cases, and the loss of each profile."""
