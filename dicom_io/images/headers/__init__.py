"""The headers of images, read without their pixels."""
