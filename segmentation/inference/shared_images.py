"""The images that the models of one study share, which are framed, normalised and resampled once.

Models of equal spacing, resampling, normalisation and axis order see one image. An image that no further model will use
is dropped at once, so that a single model holds nothing longer than without sharing.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

from core.volume import Volume
from segmentation.package.network_spec import Configuration
from segmentation.package.package import Package
from segmentation.preprocessing.regular_image import fills

Result = TypeVar("Result")


class SharedImages:
    """The images shared by the models of one study, which run one after the other.

    Parameters
    ----------
    runs
        Every model that is still to run, with its volume.
    """

    def __init__(self, runs: Sequence[tuple[Package, Volume]]) -> None:
        # Held, so that the identities that the keys are made of stay theirs.
        self._volumes = [volume for _, volume in runs]
        self._wanted = Counter(
            (id(volume.array), key)
            for package, volume in runs
            for key in (
                frame_key(package),
                *(image_key(package, c) for c in package.passes if c.previous_stage is None),
            )
        )
        self._kept: dict[Hashable, Any] = {}

    def get(self, volume: Volume, key: Hashable, make: Callable[[], Result]) -> Result:
        """Return the image that another model made, or make it; it is kept while further models will use it.

        Parameters
        ----------
        volume
            The volume from which the image is made.
        key
            As :func:`frame_key` or :func:`image_key` returns it.
        make
            Makes the image if it is not kept.
        """
        whole = id(volume.array), key
        found = self._kept[whole] if whole in self._kept else make()
        self._wanted[whole] -= 1
        if self._wanted[whole] > 0:
            self._kept[whole] = found
        else:
            self._kept.pop(whole, None)
        return found


def frame_key(package: Package) -> Hashable:
    """Build a key that is equal for models that look at the same part of an image."""
    settings = package.inference.active
    is_ct = package.config.channels[0].series.modality == ("CT",)
    return settings.finest_useful_spacing, settings.crop_to_body and is_ct, fills(package.config)


def image_key(package: Package, configuration: Configuration) -> Hashable:
    """Build a key that is equal for configurations whose networks see the same image."""
    return (
        frame_key(package),
        package.config.orientation,
        configuration.transpose_forward,
        configuration.spacing,
        configuration.normalisation,
        configuration.resampling_data.model_dump_json(),
    )
