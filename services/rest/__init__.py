"""The service's REST side."""
