"""From the frames of a series to one regular grid, or the reason why there is none."""
