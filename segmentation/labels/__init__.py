"""The way from logits to labels on the image's own grid."""
