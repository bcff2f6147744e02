"""Reception from peers: associations within limits, and a success status only once an object is safe on disk."""
