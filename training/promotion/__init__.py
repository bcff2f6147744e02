"""Promotion: the best of what was trained, how good it is, and the package that is made of it."""
