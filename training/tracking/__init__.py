"""Tracking: what trainings leave of themselves goes to MLflow, by a process that no training waits for."""
