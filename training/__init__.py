"""The life cycle of a model: data sets, runs, and the recipes of the shipped models."""
