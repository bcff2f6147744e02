"""The processes of a node and of a MAP: what puts the other rooms together, and what nothing imports."""
