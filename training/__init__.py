"""The recipes of the shipped models: from a data set to a model package."""
