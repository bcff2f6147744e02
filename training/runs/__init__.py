"""Runs: one fold's training each, by nnU-Net itself in a child process; what is asked, how it stands, who runs it."""
