"""Logits that a case puts in place of the network's own, and figures taken from logits on their way to labels.

The network runs with all of its arithmetic and memory; then, off the clock, its logits are replaced by made ones, since
a network of random weights gives no anatomy. Further runs can do without the network.
"""

import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

SLAB_PLANES = 64
"""Number of planes that a row of tiles of 128 finishes at half a patch's step."""


@dataclass
class Given:
    """A filter that takes planes of logits in order, and passes them on as the case defines them.

    Attributes
    ----------
    file
        float16 ``(class, z, y, x)`` to put in place; ``None`` leaves the network's own.
    shape
        ``(z, y, x)`` of the network's grid.
    observe
        True keeps checksums of the network's planes, and winners for the share of boundary cells.
    seconds
        Time spent here, which counts for no stage.
    """

    file: Path | None
    shape: tuple[int, ...]
    observe: bool
    seconds: float = 0.0
    checksums: list[int] = field(default_factory=list)
    _winners: list[NDArray[np.uint8]] = field(default_factory=list)
    _plane: int = 0

    @torch.inference_mode()
    def pass_on(self, slab: torch.Tensor, *, from_network: bool) -> None:
        """Replace the next planes ``(class, planes, y, x)`` in place."""
        start = time.perf_counter()
        if self.observe and from_network:
            self.checksums += [zlib.crc32(slab[:, index].cpu().numpy().tobytes()) for index in range(slab.shape[1])]
        if self.file is not None:
            size = int(np.prod(self.shape))
            plane = size // self.shape[0]
            with self.file.open("rb") as file:
                for index, target in enumerate(slab):
                    file.seek(2 * (index * size + self._plane * plane))
                    values = np.fromfile(file, dtype=np.float16, count=slab.shape[1] * plane)
                    target.copy_(torch.from_numpy(values).reshape(target.shape))
        if self.observe:
            self._winners += [_winners(slab[:, index]) for index in range(slab.shape[1])]
        self._plane += slab.shape[1]
        self.seconds += time.perf_counter() - start

    def boundary_share(self) -> float:
        """Compute the fraction of cells between the network's voxels whose corners disagree."""
        cells = disagree = 0
        for below, above in zip(self._winners, self._winners[1:], strict=False):
            corners = [
                p[y : p.shape[0] - 1 + y, x : p.shape[1] - 1 + x]
                for p in (below, above)
                for y in (0, 1)
                for x in (0, 1)
            ]
            first, *others = corners
            different = np.zeros(first.shape, dtype=bool)
            for other in others:
                different |= other != first
            cells += first.size
            disagree += int(different.sum())
        return disagree / max(1, cells)


def _winners(plane: torch.Tensor) -> NDArray[np.uint8]:
    best, winner = plane[0].float(), torch.zeros(plane.shape[1:], dtype=torch.uint8, device=plane.device)
    for index, values in enumerate(plane[1:], start=1):
        winner[values > best] = index
        best = torch.maximum(best, values)
    return winner.cpu().numpy()


def slabs_in_place_of(
    predict_slabs: Callable[..., Iterator[torch.Tensor]],
    given_for: Callable[[torch.Tensor], Given],
    *,
    run_network: bool,
    classes: int,
) -> Callable[..., Iterator[torch.Tensor]]:
    """Build a replacement of ``segmentation.inference.sliding_window.predict_slabs``.

    Parameters
    ----------
    given_for
        Called with the preprocessed image; returns the filter of its logits.
    run_network
        False takes slabs from the case alone, in the memory that those of one patch would take.
    classes
        The number of the network's outputs, background included.
    """

    def replaced(*arguments: Any, **keywords: Any) -> Iterator[torch.Tensor]:
        data = arguments[1]
        given = given_for(data)
        if run_network:
            for slab in predict_slabs(*arguments, **keywords):
                given.pass_on(slab, from_network=True)
                yield slab
            return
        for start in range(0, data.shape[1], SLAB_PLANES):
            planes = min(SLAB_PLANES, data.shape[1] - start)
            slab = torch.empty((classes, planes, *data.shape[2:]), dtype=torch.half, device=data.device)
            given.pass_on(slab, from_network=False)
            yield slab

    return replaced
