"""Side by side against peers, and against the floor of what the machine can do."""
