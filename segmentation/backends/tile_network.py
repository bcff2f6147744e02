"""The interface of a backend: one network that is ready on its device."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


class TileNetwork(Protocol):
    """A network of one fold, whichever library computes it."""

    def __call__(self, tiles: "torch.Tensor") -> "torch.Tensor":
        """Compute the logits of tiles.

        Parameters
        ----------
        tiles
            float32 ``(tile, channel, *patch)`` on the network's device; not modified.

        Returns
        -------
        torch.Tensor
            ``(tile, output, *patch)``, float32 or float16. It is the caller's own: no later call changes it.
        """
        ...
