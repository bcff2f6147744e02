"""The backend ``torch``: nnU-Net's own modules, on a CPU or a GPU."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class TorchNetwork:
    """A torch module as a backend.

    Attributes
    ----------
    module
        The network, in evaluation mode.
    precision
        Type for the operations that may run in less than single precision; ``None`` runs all in single precision.
    """

    module: torch.nn.Module
    precision: torch.dtype | None = None

    def __call__(self, tiles: torch.Tensor) -> torch.Tensor:
        """Compute the logits of tiles, as `segmentation.backends.tile_network.TileNetwork` says."""
        with torch.autocast(tiles.device.type, self.precision, enabled=self.precision is not None):
            logits: torch.Tensor = self.module(tiles)
        # Sums are made in half precision, which has three more bits for a logit than bfloat16.
        return logits.half() if logits.dtype is torch.bfloat16 else logits
