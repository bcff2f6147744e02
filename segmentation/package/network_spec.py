"""``manifest.json``: all that running a trained nnU-Net needs, in one form for every version of nnU-Net.

nnU-Net's plans inherit from each other, name Python classes and changed their form over the years; checkpoints are
pickles. A package keeps the plans byte for byte, and runs from this file alone.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from core.frozen import Frozen

Scalar = bool | int | float | str | None
Argument = Scalar | list[int] | list[list[int]] | dict[str, bool | int | float]
FoldName = int | Literal["all"]
Sha256 = str

NormalisationScheme = Literal[
    "CTNormalization", "ZScoreNormalization", "NoNormalization", "RescaleTo01Normalization", "RGBTo01Normalization"
]
ResamplingFunction = Literal["resample_data_or_seg_to_shape", "resample_torch_fornnunet", "no_resampling_hack"]
Builder = Literal["PlainConvUNet", "ResidualEncoderUNet", "ResidualUNet"]


_SEPARATE_Z = {"is_seg", "force_separate_z", "separate_z_anisotropy_threshold"}
_RESAMPLING_ARGUMENTS: dict[str, set[str]] = {
    "resample_data_or_seg_to_shape": _SEPARATE_Z | {"order", "order_z"},
    "resample_torch_fornnunet": _SEPARATE_Z | {"memefficient_seg_resampling", "mode", "aniso_axis_mode"},
    "no_resampling_hack": set(),
}
_CHOICES: dict[str, tuple[Scalar, ...]] = {
    "order": (0, 1, 2, 3, 4, 5),
    "order_z": (0, 1, 2, 3, 4, 5),
    "mode": ("linear",),
    "aniso_axis_mode": ("nearest-exact", "nearest", "linear"),
}


def _fits(name: str, value: Scalar) -> bool:
    if name in _CHOICES:
        return value in _CHOICES[name]
    return not isinstance(value, str)


class _Finite(Frozen, allow_inf_nan=False):
    """A base whose numbers are finite."""


class Normalisation(_Finite):
    """The normalisation of one input channel to the network's range."""

    scheme: NormalisationScheme
    use_mask: bool = False
    mean: float | None = None
    std: float | None = None
    percentile_00_5: float | None = None
    percentile_99_5: float | None = None


class Resampling(_Finite):
    """One of nnU-Net's resampling functions with its keyword arguments."""

    function: ResamplingFunction
    arguments: dict[str, Scalar] = Field(default={})

    @model_validator(mode="after")
    def _arguments_are_known(self) -> "Resampling":
        known = _RESAMPLING_ARGUMENTS[self.function]
        wrong = [name for name, value in self.arguments.items() if name not in known or not _fits(name, value)]
        if wrong:
            raise ValueError(f"{self.function} takes no argument {sorted(wrong)}, or not with the given values")
        return self


class NetworkSpec(_Finite):
    """A network as its builder's keyword arguments; operations are short names that ``network.py`` knows."""

    builder: Builder
    operations: dict[str, str | None]
    arguments: dict[str, Argument]
    input_channels: int = Field(ge=1, le=4096)
    outputs: int = Field(ge=1, le=4096)


class Fold(_Finite):
    """One set of weights."""

    fold: FoldName
    file: str
    checkpoint: str
    checkpoint_sha256: Sha256


class Configuration(_Finite):
    """One nnU-Net configuration (``3d_fullres``, ``2d`` …) with its weights; axes are in transposed order.

    Attributes
    ----------
    id
        Name of its results folder, ``TRAINER__PLANS__CONFIGURATION``.
    spacing
        Target spacing in mm; two values for 2d.
    mirror_axes
        Spatial axes that test-time mirroring may flip; empty where training did not mirror.
    previous_stage
        For a cascade, the ``id`` of the configuration whose labels are further inputs.
    """

    id: str
    name: str
    trainer: str
    plans: str
    reader: str
    patch_size: tuple[int, ...] = Field(min_length=2, max_length=3)
    spacing: tuple[float, ...] = Field(min_length=2, max_length=3)
    transpose_forward: tuple[int, int, int]
    transpose_backward: tuple[int, int, int]
    normalisation: tuple[Normalisation, ...]
    resampling_data: Resampling
    resampling_seg: Resampling
    resampling_probabilities: Resampling
    network: NetworkSpec
    mirror_axes: tuple[int, ...]
    folds: tuple[Fold, ...] = Field(min_length=1)
    previous_stage: str | None = None

    @model_validator(mode="after")
    def _axes_agree(self) -> "Configuration":
        if len(self.patch_size) != len(self.spacing) or min(self.patch_size) < 1 or min(self.spacing) <= 0:
            raise ValueError(f"{self.id}: patch size {self.patch_size} does not fit spacing {self.spacing}")
        forward, backward = self.transpose_forward, self.transpose_backward
        axes = [0, 1, 2]
        if (
            sorted(forward) != axes
            or sorted(backward) != axes
            or tuple(forward[axis] for axis in backward) != (0, 1, 2)
        ):
            raise ValueError(f"{self.id}: transpose {forward} and {backward} do not undo each other")
        if any(axis not in range(len(self.patch_size)) for axis in self.mirror_axes):
            raise ValueError(f"{self.id}: no axis {self.mirror_axes} to mirror in a patch of {self.patch_size}")
        return self


class Labels(_Finite):
    """``labels`` of ``dataset.json``: one value for each name, or for regions the values that a region unites."""

    values: dict[str, int | Annotated[tuple[int, ...], Field(min_length=1)]]
    regions_class_order: tuple[int, ...] | None = None

    @model_validator(mode="after")
    def _every_output_has_its_value(self) -> "Labels":
        if not self.outputs:  # which raises where regions_class_order is shorter or longer than the regions
            raise ValueError("there is no label besides background")
        return self

    @property
    def has_regions(self) -> bool:
        """True if the outputs are overlapping regions instead of classes."""
        return any(isinstance(value, tuple) and len(value) > 1 for value in self.values.values())

    @property
    def outputs(self) -> dict[str, int]:
        """The integer for each name that the result may carry; background and ignore are left out."""
        foreground = [
            (name, value)
            for name, value in self.values.items()
            if name != "ignore" and set(value if isinstance(value, tuple) else (value,)) != {0}
        ]
        if self.has_regions:
            return dict(zip((name for name, _ in foreground), self.regions_class_order or (), strict=True))
        return {name: value[0] if isinstance(value, tuple) else value for name, value in foreground}

    @property
    def foreground_values(self) -> tuple[int, ...]:
        """The values of ``labels`` other than background and ignore, ascending, regions taken apart."""
        parts = [v if isinstance(v, tuple) else (v,) for name, v in self.values.items() if name != "ignore"]
        return tuple(sorted({value for part in parts for value in part} - {0}))


class Part(_Finite):
    """One network of a composite.

    Attributes
    ----------
    configuration
        Its id.
    labels
        The labels of its own ``dataset.json``.
    values
        The composite's value for each value of the network's result.
    """

    configuration: str
    labels: Labels
    values: dict[int, int]

    @model_validator(mode="after")
    def _every_value_becomes_another(self) -> "Part":
        if set(self.values) != set(self.labels.outputs.values()) or min(self.values.values()) < 1:
            raise ValueError(f"{self.configuration}: values {self.values} are not those of its labels")
        return self


class PackageManifest(_Finite, populate_by_name=True):
    """The whole of ``manifest.json``.

    Attributes
    ----------
    channels
        Names of the input channels, in order.
    configurations
        Every network of the package, the previous stages of cascades included.
    members
        Ids of the configurations that see the image: several make an ensemble or a composite.
    parts
        The members of a composite, each with labels of its own. They are merged in this order, later ones over earlier
        ones where both found something. Without parts the members' probabilities are averaged.
    originals
        SHA-256 of every file that was read when the package was added, by its name below the source.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    channels: tuple[str, ...] = Field(min_length=1)
    labels: Labels
    configurations: tuple[Configuration, ...] = Field(min_length=1)
    members: tuple[str, ...] = Field(min_length=1)
    parts: tuple[Part, ...] = ()
    originals: dict[str, Sha256]

    @model_validator(mode="after")
    def _references_exist(self) -> "PackageManifest":
        ids = [c.id for c in self.configurations]
        wanted = set(self.members) | {c.previous_stage for c in self.configurations if c.previous_stage}
        if len(set(ids)) != len(ids) or not wanted <= set(ids):
            raise ValueError(f"configurations {ids} must hold each of {sorted(wanted)} exactly once")
        return self

    @model_validator(mode="after")
    def _parts_make_the_whole(self) -> "PackageManifest":
        if not self.parts:
            return self
        ids = [part.configuration for part in self.parts]
        if not ids == list(self.members) == [c.id for c in self.configurations]:
            raise ValueError(f"the parts {ids} must be the members and the configurations, in the same order")
        if any(c.previous_stage for c in self.configurations):
            raise ValueError("a part of a composite cannot be a cascade")
        if {value for part in self.parts for value in part.values.values()} != set(self.labels.outputs.values()):
            raise ValueError("the parts' values are not those of labels")
        return self

    @property
    def is_ensemble(self) -> bool:
        """True if the members' probabilities are averaged."""
        return len(self.members) > 1 and not self.parts

    def configuration(self, identifier: str) -> Configuration:
        """Return the configuration with this id."""
        return next(c for c in self.configurations if c.id == identifier)

    @property
    def trainers(self) -> tuple[str, ...]:
        """Names of the trainer classes that made the weights, each once."""
        return tuple(sorted({c.trainer for c in self.configurations}))
