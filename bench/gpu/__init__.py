"""Every figure that has a target on a GPU, in one run short enough for a lent machine."""
