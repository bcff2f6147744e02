"""Running networks: the sliding window, models that stay loaded, the memory that they need."""
