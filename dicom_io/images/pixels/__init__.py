"""Stored values of frames, decoded."""
