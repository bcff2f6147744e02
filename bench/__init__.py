"""Benchmarks beside peers, and against the floor that the machine sets."""
