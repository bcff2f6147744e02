"""Data sets: from a hospital's images with masks to nnU-Net v2 raw data sets whose content is locked."""
