"""``segnode datasets``: a file for each group of its commands, over `training.datasets`."""
