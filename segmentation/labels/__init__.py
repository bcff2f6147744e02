"""From logits to labels on the image's own grid."""
