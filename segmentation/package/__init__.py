"""The model package: sealed files, network, weights, and the results measured with it."""
