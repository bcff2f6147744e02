"""Masks that were made of images, as SEG or RTSTRUCT of any origin: read onto the image's own grid, or refused."""
