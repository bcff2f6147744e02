"""The service's gRPC side."""
