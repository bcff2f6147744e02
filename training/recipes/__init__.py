"""The recipes of the shipped models: from made patients and public volumes to a model package."""
