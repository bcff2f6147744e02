"""What is done to labels before they are a result."""
