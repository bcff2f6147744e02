"""The tasks that the service offers."""

from typing import Literal

Task = Literal["totalseg", "vessel", "ureter", "tumor"]
"""The four segmentations; each runs the model package that its alias names."""
