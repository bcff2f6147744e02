"""Backends: a tile in, logits out. Window, accumulation and labels are one code for all of them."""
