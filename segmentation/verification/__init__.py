"""Proofs of a package: golden cases, and what each profile loses."""
