"""The node's processes: listener, worker, housekeeping, and what they show of themselves."""
