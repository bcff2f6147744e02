"""The forms in which hospitals and researchers keep images with masks: one file a form."""
