"""What leaves: the SEG, its picture, the notice; written whole, read back, never stale."""
