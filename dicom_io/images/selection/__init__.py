"""Which series feeds which channel of a model, and why."""
