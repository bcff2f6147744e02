"""The steps that clean labels before they become a result."""
