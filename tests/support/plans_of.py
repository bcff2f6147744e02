"""One configuration in this project's words and in nnU-Net's, for tests of what lies around the network."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from numpy.typing import NDArray

from segmentation.package.network_spec import Configuration, Fold, Labels, NetworkSpec, Normalisation, Resampling

CT = {"mean": 60.0, "std": 250.0, "percentile_00_5": -800.0, "percentile_99_5": 900.0}
PLAIN = Labels(values={"background": 0, "a": 1, "b": 2, "c": 3})
REGIONS = Labels(values={"background": 0, "whole": (1, 2, 3), "core": (2, 3), "rim": 3}, regions_class_order=(1, 2, 3))


@dataclass(frozen=True)
class Stock:
    """nnU-Net's managers of one configuration."""

    plans: PlansManager
    configuration: ConfigurationManager
    labels: LabelManager
    dataset: dict[str, Any]

    def preprocess(
        self, image: NDArray[np.float32], spacing: tuple[float, ...], previous: NDArray[Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Preprocess as nnU-Net does, with the one-hot channels of a cascade appended."""
        from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
        from nnunetv2.utilities.label_handling.label_handling import convert_labelmap_to_one_hot

        seg = None if previous is None else previous[None].astype(np.float32)
        properties: dict[str, Any] = {"spacing": list(spacing)}
        data, seg, properties = DefaultPreprocessor(verbose=False).run_case_npy(
            image, seg, properties, self.plans, self.configuration, self.dataset
        )
        if previous is not None:
            data = np.vstack((data, convert_labelmap_to_one_hot(seg[0], self.labels.foreground_labels, data.dtype)))
        return data, properties

    def export(
        self, logits: torch.Tensor, properties: dict[str, Any], *, probabilities: bool = False, copy: bool = True
    ) -> Any:
        """Export as nnU-Net does: labels, or labels and probabilities, on the image's grid."""
        from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape

        return convert_predicted_logits_to_segmentation_with_correct_shape(
            logits.clone() if copy else logits,
            self.plans,
            self.configuration,
            self.labels,
            properties,
            probabilities,
            1,
        )


def make_configuration(
    *,
    spacing: tuple[float, ...] = (1.5, 1.5, 1.5),
    schemes: tuple[str, ...] = ("CTNormalization",),
    use_mask: bool = False,
    transpose: tuple[int, int, int] = (0, 1, 2),
    function: str = "resample_data_or_seg_to_shape",
    previous_stage: str | None = None,
    outputs: int = 4,
) -> Configuration:
    """Make a configuration as a package holds it; its network is never built."""
    torch_like = {"force_separate_z": None, "memefficient_seg_resampling": False}
    spline = {"order_z": 0, "force_separate_z": None}
    arguments: dict[str, dict[str, Any]] = {
        "data": {"is_seg": False, "order": 3, **spline},
        "seg": {"is_seg": True, "order": 1, **spline},
        "probabilities": {"is_seg": False, "order": 1, **spline},
    }
    if function == "resample_torch_fornnunet":
        arguments = {purpose: {"is_seg": purpose == "seg", **torch_like} for purpose in arguments}
    elif function == "no_resampling_hack":
        arguments = {purpose: {} for purpose in arguments}
    return Configuration(
        id="nnUNetTrainer__nnUNetPlans__3d_fullres",
        name="3d_fullres",
        trainer="nnUNetTrainer",
        plans="nnUNetPlans",
        reader="SimpleITKIO",
        patch_size=(16,) * len(spacing),
        spacing=spacing,
        transpose_forward=transpose,
        transpose_backward=tuple(transpose.index(axis) for axis in range(3)),
        normalisation=tuple(
            Normalisation(scheme=scheme, use_mask=use_mask, **(CT if scheme == "CTNormalization" else {}))
            for scheme in schemes
        ),
        network=NetworkSpec(
            builder="PlainConvUNet", operations={}, arguments={}, input_channels=len(schemes), outputs=outputs
        ),
        mirror_axes=(),
        folds=(Fold(fold=0, file="-", checkpoint="-", checkpoint_sha256="-"),),
        previous_stage=previous_stage,
        **{f"resampling_{purpose}": Resampling(function=function, arguments=a) for purpose, a in arguments.items()},
    )


def stock_of(configuration: Configuration, labels: Labels = PLAIN) -> Stock:
    """Make the same configuration for nnU-Net."""
    settings: dict[str, Any] = {
        "preprocessor_name": "DefaultPreprocessor",
        "patch_size": list(configuration.patch_size),
        "spacing": list(configuration.spacing),
        "normalization_schemes": [n.scheme for n in configuration.normalisation],
        "use_mask_for_norm": [n.use_mask for n in configuration.normalisation],
        "architecture": {},
    }
    for purpose in ("data", "seg", "probabilities"):
        resampling = getattr(configuration, f"resampling_{purpose}")
        settings[f"resampling_fn_{purpose}"] = resampling.function
        settings[f"resampling_fn_{purpose}_kwargs"] = dict(resampling.arguments)
    plans = PlansManager(
        {
            "transpose_forward": list(configuration.transpose_forward),
            "transpose_backward": list(configuration.transpose_backward),
            "label_manager": "LabelManager",
            "foreground_intensity_properties_per_channel": {str(i): CT for i in range(9)},
            "configurations": {configuration.name: settings},
        }
    )
    dataset = {
        "labels": {k: list(v) if isinstance(v, tuple) else v for k, v in labels.values.items()},
        "regions_class_order": list(labels.regions_class_order) if labels.regions_class_order else None,
    }
    return Stock(plans, plans.get_configuration(configuration.name), plans.get_label_manager(dataset), dataset)
