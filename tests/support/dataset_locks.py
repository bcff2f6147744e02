"""Cases of a data set's lock, with no file behind them."""

from typing import Any

from training.datasets.lock import LockedCase, LockedFile

FILE = LockedFile(sha256="a" * 64, content="b" * 64)


def locked_case(*labels: str, **changes: Any) -> LockedCase:
    """A case of one image, in which labels were looked for and found."""
    facts: dict[str, Any] = {
        "images": (FILE,),
        "label": FILE,
        "shape": (4, 8, 8),
        "spacing": (5.0, 1.0, 1.0),
        "origin": (0.0, 0.0, 0.0),
        "direction": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
        "kind": "nifti",
        "source": "0123456789ab",
        "patient": "ba9876543210",
        "labelled_by": "MANUAL",
        "looked_for": labels,
        "voxels": dict.fromkeys(labels, 12),
    }
    return LockedCase(**facts | changes)
