"""From an image to what the network sees, as nnU-Net does it."""
