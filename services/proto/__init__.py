"""The service's protocol, and how its code is generated."""
