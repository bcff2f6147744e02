"""Results that leave: the SEG, its preview, the notice; written whole, read back, never stale."""
