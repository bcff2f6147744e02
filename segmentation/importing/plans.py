"""The reading of nnU-Net's ``plans.json`` and ``dataset.json``, in which everything unknown is refused.

Plans name classes and functions of Python. Nothing here imports by a name that a file gives: a name is either in a
table, or refused with its text.

References
----------
nnU-Net v2 ``utilities/plans_handling/plans_handler.py``, ``utilities/label_handling/label_handling.py``.
"""

from collections.abc import Mapping
from typing import Any, get_args

from core.errors import PackageInvalid
from segmentation.package.network import BUILDER_PATHS, OPERATIONS, short_operation
from segmentation.package.network_spec import (
    Labels,
    NetworkSpec,
    Normalisation,
    NormalisationScheme,
    Resampling,
    ResamplingFunction,
)
from segmentation.preprocessing.target_grid import order_of

Json = Mapping[str, Any]

READERS: Mapping[str, str] = {
    "SimpleITKIO": "acquired",
    "SimpleITKIOWithReorient": "RAS",
    "NibabelIO": "acquired",
    "NibabelIOWithReorient": "RAS",
}
"""Axis order of the arrays that each of nnU-Net's readers gives. ``NibabelIO`` transposes to ``(z, y, x)`` but keeps
the file's directions, as ``SimpleITKIO`` does; both ``…WithReorient`` bring the image to RAS first."""


_PICTURES: Mapping[str, str] = {"NaturalImage2DIO": "2D pictures (PNG, BMP)", "Tiff3DIO": "TIFF stacks of a microscope"}
_OF_THE_MACHINE = {"num_threads", "device"}
"""Arguments of resampling that say where it runs, and change no number."""


def resolve_configuration(plans: Json, name: str) -> dict[str, Any]:
    """Merge one configuration of the plans with all that it inherits.

    Raises
    ------
    PackageInvalid
        If it or a parent is missing, or the parents form a circle.
    """
    chain: list[Json] = []
    seen: set[str] = set()
    current: str | None = name
    while current is not None:
        configurations = plans.get("configurations")
        if current in seen or not isinstance(configurations, dict) or current not in configurations:
            raise PackageInvalid(f"plans.json has no usable configuration {current!r}")
        seen.add(current)
        chain.append(configurations[current])
        current = configurations[current].get("inherits_from")
    merged: dict[str, Any] = {}
    for configuration in reversed(chain):
        merged.update(configuration)
    return merged


def read_labels(dataset: Json) -> Labels:
    """Read the labels and regions of ``dataset.json``.

    Raises
    ------
    PackageInvalid
        If background is not 0, values collide, or regions lack their order.
    """
    raw = dataset.get("labels")
    if not isinstance(raw, dict) or raw.get("background") != 0:
        raise PackageInvalid("dataset.json: labels must hold background with the value 0")
    try:
        labels = Labels(values=raw, regions_class_order=dataset.get("regions_class_order"))
        outputs = labels.outputs
    except ValueError as error:
        raise PackageInvalid(f"dataset.json: labels or regions_class_order are not usable: {error}") from error
    if not labels.has_regions and sorted(outputs.values()) != list(range(1, len(outputs) + 1)):
        raise PackageInvalid(f"dataset.json: label values {sorted(outputs.values())} are not 1, 2, 3, …")
    ignore = labels.values.get("ignore")
    if ignore is not None and ignore != max(labels.foreground_values) + 1:
        raise PackageInvalid("dataset.json: the ignore label must have the highest value")
    return labels


def read_channels(dataset: Json) -> tuple[str, ...]:
    """Read the names of the input channels in order; ``modality`` is the key of data sets from nnU-Net v1.

    Raises
    ------
    PackageInvalid
        If they are missing or not numbered from 0.
    """
    names = dataset.get("modality", dataset.get("channel_names"))
    if not isinstance(names, dict) or not names or set(names) != {str(i) for i in range(len(names))}:
        raise PackageInvalid("dataset.json: channel_names must number the channels from 0")
    return tuple(str(names[str(i)]) for i in range(len(names)))


def orientation_of(plans: Json) -> tuple[str, str]:
    """Read the plans' image reader and the axis order in which it gave the training images.

    Raises
    ------
    PackageInvalid
        If the axis order of the reader is not known.
    """
    reader = str(plans.get("image_reader_writer"))
    if reader in _PICTURES:
        raise PackageInvalid(
            f"plans.json: image reader {reader!r} is not supported: the model was trained on {_PICTURES[reader]}, and "
            "this program segments volumes from DICOM"
        )
    if reader not in READERS:
        raise PackageInvalid(
            f"plans.json: image reader {reader!r} is not supported; its axis order in training is not known. "
            f"Supported: {', '.join(READERS)}"
        )
    return reader, READERS[reader]


def read_network(configuration: Json, channels: int, outputs: int) -> NetworkSpec:
    """Read the network of a configuration, from plans of any age.

    Raises
    ------
    PackageInvalid
        If the builder or one of its operations is not in this project's tables.
    """
    architecture = configuration.get("architecture") or _old_architecture(configuration)
    path = str(architecture.get("network_class_name"))
    if path not in BUILDER_PATHS:
        raise PackageInvalid(f"plans.json: network class {path!r} is not supported; known: {', '.join(BUILDER_PATHS)}")
    unknown = set(architecture.get("_kw_requires_import", ())) - set(OPERATIONS)
    if unknown:
        raise PackageInvalid(f"plans.json: _kw_requires_import asks to import {sorted(unknown)}")
    arguments = dict(architecture.get("arch_kwargs", {}))
    operations = {key: short_operation(key, arguments.pop(key)) for key in OPERATIONS if key in arguments}
    arguments.pop("deep_supervision", None)
    try:
        return NetworkSpec(
            builder=BUILDER_PATHS[path],
            operations=operations,
            arguments={key: value for key, value in arguments.items() if value is not None},
            input_channels=channels,
            outputs=outputs,
        )
    except ValueError as error:
        raise PackageInvalid(f"plans.json: arguments of the network are not usable: {error}") from error


def read_normalisation(plans: Json, configuration: Json, channels: int) -> tuple[Normalisation, ...]:
    """Read the normalisation of every channel.

    Raises
    ------
    PackageInvalid
        If a scheme is unknown, which the text names, or a channel has none.
    """
    schemes = configuration.get("normalization_schemes", [])
    masks = configuration.get("use_mask_for_norm", [])
    properties = plans.get("foreground_intensity_properties_per_channel") or plans.get(
        "foreground_intensity_properties_by_modality", {}
    )
    if len(schemes) != channels or len(masks) != channels:
        raise PackageInvalid(f"plans.json: {len(schemes)} normalization_schemes for {channels} channels")
    result = []
    for index, (scheme, mask) in enumerate(zip(schemes, masks, strict=True)):
        if scheme not in get_args(NormalisationScheme):
            raise PackageInvalid(f"plans.json: normalisation scheme {scheme!r} is not supported")
        values: dict[str, float | None] = {}
        if scheme == "CTNormalization":
            of_channel = properties.get(str(index), {})
            values = {key: of_channel.get(key) for key in ("mean", "std", "percentile_00_5", "percentile_99_5")}
            if None in values.values():
                raise PackageInvalid(f"plans.json: CTNormalization of channel {index} lacks intensity properties")
        result.append(Normalisation(scheme=scheme, use_mask=bool(mask), **values))
    return tuple(result)


def read_resampling(configuration: Json, purpose: str) -> Resampling:
    """Read one of the three resampling functions; ``purpose`` is ``data``, ``seg`` or ``probabilities``.

    Raises
    ------
    PackageInvalid
        If a function or argument is unknown, which the text names; if probabilities or labels need splines, for which
        the labeller has no method; or if labels are resampled as an image, or the other way round.
    """
    function = configuration.get(f"resampling_fn_{purpose}")
    if function not in get_args(ResamplingFunction):
        raise PackageInvalid(f"plans.json: resampling function {function!r} is not supported")
    arguments = configuration.get(f"resampling_fn_{purpose}_kwargs", {})
    arguments = {name: value for name, value in arguments.items() if name not in _OF_THE_MACHINE}
    try:
        resampling = Resampling(function=function, arguments=arguments)
    except ValueError as error:
        raise PackageInvalid(f"plans.json: resampling_fn_{purpose}_kwargs: {error}") from error
    if function == "resample_data_or_seg_to_shape" and order_of(resampling) > 1 and purpose != "data":
        raise PackageInvalid(
            f"plans.json: resampling_fn_{purpose}_kwargs: order {order_of(resampling)} is not supported, only 0 and 1"
        )
    is_seg = bool(resampling.arguments.get("is_seg", False))
    if function != "no_resampling_hack" and is_seg != (purpose == "seg"):
        raise PackageInvalid(f"plans.json: resampling_fn_{purpose}_kwargs: is_seg {is_seg} is not supported")
    return resampling


def refuse_unknown_parts(plans: Json, configuration: Json) -> None:
    """Refuse plans that replace nnU-Net's preprocessor or label manager.

    Raises
    ------
    PackageInvalid
        If the plans name another one; the text names it.
    """
    for what, name, known in (
        ("label manager", plans.get("label_manager", "LabelManager"), "LabelManager"),
        ("preprocessor", configuration.get("preprocessor_name", "DefaultPreprocessor"), "DefaultPreprocessor"),
    ):
        if name != known:
            raise PackageInvalid(f"plans.json: {what} {name!r} is not supported; only {known} is")


def _old_architecture(configuration: Json) -> Json:
    """Reconstruct the architecture of plans written before nnU-Net 2.5, exactly as nnU-Net does."""
    name = configuration.get("UNet_class_name")
    paths = {path.rpartition(".")[2]: path for path in BUILDER_PATHS}
    if name not in ("PlainConvUNet", "ResidualEncoderUNet"):
        raise PackageInvalid(f"plans.json: network class {name!r} is not supported")
    try:
        stages = len(configuration["n_conv_per_stage_encoder"])
        base, limit = configuration["UNet_base_num_features"], configuration["unet_max_num_features"]
        dimensions = len(configuration["patch_size"])
        per_stage = "n_conv_per_stage" if name == "PlainConvUNet" else "n_blocks_per_stage"
        return {
            "network_class_name": paths[name],
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
            "arch_kwargs": {
                "n_stages": stages,
                "features_per_stage": [min(base * 2**stage, limit) for stage in range(stages)],
                "conv_op": f"torch.nn.Conv{dimensions}d",
                "kernel_sizes": configuration["conv_kernel_sizes"],
                "strides": configuration["pool_op_kernel_sizes"],
                per_stage: configuration["n_conv_per_stage_encoder"],
                "n_conv_per_stage_decoder": configuration["n_conv_per_stage_decoder"],
                "conv_bias": True,
                "norm_op": f"torch.nn.InstanceNorm{dimensions}d",
                "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                "dropout_op": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
        }
    except (KeyError, TypeError) as error:
        raise PackageInvalid(f"plans.json: old plans lack {error}") from error
