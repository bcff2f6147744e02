"""The choice of a series for each channel of a model, with its reasons."""
