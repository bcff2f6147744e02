"""What an image says of itself, read without its pixels."""
