"""The inference service: paths on a shared volume in, masks out, by gRPC and REST."""
