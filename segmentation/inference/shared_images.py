"""What the models of one study have in common: images that are framed, normalised and resampled once.

Models of equal spacing, resampling, normalisation and axis order see one image. What no further model will ask for is
given up at once, so a model alone holds nothing longer than without this.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

from core.volume import Volume
from segmentation.package.network_spec import Configuration
from segmentation.package.package import Package

Result = TypeVar("Result")


class SharedImages:
    """For one study; one model after the other.

    Parameters
    ----------
    runs
        Every model that is still to run, with the image on which it runs.
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
        """What another model made, or what is made now; kept while further models want it."""
        whole = id(volume.array), key
        found = self._kept[whole] if whole in self._kept else make()
        self._wanted[whole] -= 1
        if self._wanted[whole] > 0:
            self._kept[whole] = found
        else:
            self._kept.pop(whole, None)
        return found


def frame_key(package: Package) -> Hashable:
    """Equal for models that look at the same part of an image."""
    settings = package.manifest.inference.active
    is_ct = package.manifest.channels[0].series.modality == ("CT",)
    return settings.finest_useful_spacing, settings.crop_to_body and is_ct


def image_key(package: Package, configuration: Configuration) -> Hashable:
    """Equal for configurations whose networks see the same image."""
    return (
        frame_key(package),
        package.manifest.orientation,
        configuration.transpose_forward,
        configuration.spacing,
        configuration.normalisation,
        configuration.resampling_data.model_dump_json(),
    )
