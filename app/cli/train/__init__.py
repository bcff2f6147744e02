"""``segnode train``: a file for each group of its commands, over the rooms of `training`."""
