"""What a model package is: sealed files, network, weights, and what was found out about it."""
