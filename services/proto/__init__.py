"""The service's protocol, and the generator of its code."""
