"""Networks at work: sliding window, models that stay warm, the memory that they need."""
