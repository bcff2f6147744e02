"""The numbers of a result: volume, intensity, diameters and uptake of each label, made once for all forms."""
