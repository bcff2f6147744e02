"""The way from an image to the network's input, as in nnU-Net."""
