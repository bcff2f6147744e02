"""nnU-Net's own preprocessing and label export, called with this project's manifest in place of plans.

The only module of the running path that imports ``nnunetv2``, and it does so late: nothing of a model's files reaches
it, only names and numbers that ``plans.py`` has checked.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from segmentation.manifest import Configuration, Labels, Normalisation

if TYPE_CHECKING:
    from nnunetv2.utilities.label_handling.label_handling import LabelManager
    from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager


@dataclass(frozen=True)
class Preprocessed:
    """An image as the network takes it, with what the way back needs.

    Attributes
    ----------
    data
        float32 ``(channel, z, y, x)``, transposed, cropped, normalised and resampled.
    properties
        nnU-Net's record of the crop and the shapes.
    """

    data: torch.Tensor
    properties: dict[str, Any]


class Pipeline:
    """Preprocessing and label export of one configuration."""

    def __init__(self, configuration: Configuration, labels: Labels) -> None:
        from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

        plans = _plans(configuration)
        self._plans: PlansManager = PlansManager(plans)
        self._configuration: ConfigurationManager = self._plans.get_configuration(configuration.name)
        self._dataset = {
            "labels": {k: list(v) if isinstance(v, tuple) else v for k, v in labels.values.items()},
            "regions_class_order": list(labels.regions_class_order) if labels.regions_class_order else None,
        }
        self._labels: LabelManager = self._plans.get_label_manager(self._dataset)

    def preprocess(
        self, image: NDArray[np.float32], spacing: tuple[float, ...], previous: NDArray[np.integer[Any]] | None
    ) -> Preprocessed:
        """Preprocess an image; ``previous`` are the first stage's labels of a cascade on the image's grid.

        Parameters
        ----------
        image
            ``(channel, z, y, x)``; not modified.
        spacing
            In mm, in array order.
        """
        from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
        from nnunetv2.utilities.label_handling.label_handling import convert_labelmap_to_one_hot

        # nnU-Net reads the first stage's labels from a file, as float32.
        seg = None if previous is None else previous[None].astype(np.float32)
        properties: dict[str, Any] = {"spacing": list(spacing)}
        data, seg, properties = DefaultPreprocessor(verbose=False).run_case_npy(
            image, seg, properties, self._plans, self._configuration, self._dataset
        )
        if previous is not None:
            data = np.vstack((data, convert_labelmap_to_one_hot(seg[0], self._labels.foreground_labels, data.dtype)))
        return Preprocessed(torch.from_numpy(data).to(torch.float32), properties)

    def labels(self, logits: torch.Tensor, properties: dict[str, Any]) -> NDArray[np.integer[Any]]:
        """Labels on the image's grid from logits on the network's."""
        return np.asarray(self._export(logits, properties, return_probabilities=False))

    def probabilities(self, logits: torch.Tensor, properties: dict[str, Any]) -> NDArray[np.float32]:
        """Probabilities ``(output, z, y, x)`` on the image's grid; outside the crop it is background."""
        return np.asarray(self._export(logits, properties, return_probabilities=True)[1])

    def labels_of_probabilities(self, probabilities: NDArray[np.float32]) -> NDArray[np.integer[Any]]:
        """Labels of averaged probabilities."""
        return np.asarray(self._labels.convert_probabilities_to_segmentation(probabilities))

    def _export(self, logits: torch.Tensor, properties: dict[str, Any], *, return_probabilities: bool) -> Any:
        from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape

        return convert_predicted_logits_to_segmentation_with_correct_shape(
            logits,
            self._plans,
            self._configuration,
            self._labels,
            properties,
            return_probabilities=return_probabilities,
            num_threads_torch=torch.get_num_threads(),
        )


def _plans(configuration: Configuration) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "preprocessor_name": "DefaultPreprocessor",
        "patch_size": list(configuration.patch_size),
        "spacing": list(configuration.spacing),
        "normalization_schemes": [n.scheme for n in configuration.normalisation],
        "use_mask_for_norm": [n.use_mask for n in configuration.normalisation],
        "architecture": {},  # its presence tells nnU-Net that these are not old plans; networks are built elsewhere
    }
    for purpose in ("data", "seg", "probabilities"):
        resampling = getattr(configuration, f"resampling_{purpose}")
        settings[f"resampling_fn_{purpose}"] = resampling.function
        settings[f"resampling_fn_{purpose}_kwargs"] = dict(resampling.arguments)
    return {
        "transpose_forward": list(configuration.transpose_forward),
        "transpose_backward": list(configuration.transpose_backward),
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            str(index): _intensities(n) for index, n in enumerate(configuration.normalisation)
        },
        "configurations": {configuration.name: settings},
    }


def _intensities(normalisation: Normalisation) -> dict[str, float | None]:
    keys = ("mean", "std", "percentile_00_5", "percentile_99_5")
    return {key: getattr(normalisation, key) for key in keys}
