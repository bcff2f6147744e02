"""What peers send: associations within bounds, and an answer only when it is safe on disk."""
