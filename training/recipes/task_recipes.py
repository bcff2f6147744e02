"""The four tasks of the service: the input of each network, its labels, and the made patients that it learns from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from phantom import LABEL_NAMES, Phantom, Phase
from training.recipes.made_patients import TRAINED_FROM, MadePatient, draw_patient
from training.recipes.nnunet import Dataset
from training.recipes.plans import Network

PATIENTS, VALIDATION_PATIENTS = 24, 2
_VALUES = {name: value for value, name in LABEL_NAMES.items()}


@dataclass(frozen=True)
class Recipe:
    """The recipe of one task's model.

    Attributes
    ----------
    dataset
        The data set for nnU-Net.
    channels
        Name of each channel, in the network's order.
    phases
        The phases that a channel may show: one tuple for each case in turn.
    labels
        Structures of the phantom (``phantom.LABEL_NAMES``) that make up each label, values 1, 2, ... in this order.
    network
        The network that is trained.
    spacing
        Smallest and largest spacing of the training images, mm.
    height
        Lowest and highest z in mm of the middle of a training image.
    emphasis
        Factor by which the patients of a phase are drawn more often in training than the others.
    """

    dataset: Dataset
    channels: tuple[str, ...]
    phases: tuple[tuple[Phase, ...], ...]
    labels: dict[str, tuple[str, ...]]
    network: Network
    spacing: tuple[float, float]
    height: tuple[float, float]
    emphasis: Mapping[Phase, int] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, int]:
        """Value of each label, background included."""
        return {"background": 0} | {name: value for value, name in enumerate(self.labels, start=1)}

    def truth(self, phantom: Phantom) -> NDArray[np.uint8]:
        """Make the task's labels from a phantom."""
        table = np.zeros(len(LABEL_NAMES), np.uint8)
        for name, structures in self.labels.items():
            table[[_VALUES[structure] for structure in structures]] = self.values[name]
        return table[phantom.labels]

    def patients(self) -> Iterator[tuple[str, MadePatient, bool]]:
        """Yield name, patient, and whether it is only for validation, of every training case."""
        first = TRAINED_FROM + 100 * (self.dataset.number % 100)
        for number in range(PATIENTS + VALIDATION_PATIENTS):
            phases = self.phases[number % len(self.phases)]
            patient = draw_patient(first + number, phases, self.spacing, self.height)
            yield f"patient_{first + number}", patient, number >= PATIENTS


def _network(
    spacing: float,
    patch: tuple[int, int, int],
    features: tuple[int, int, int, int],
    window_hu: tuple[float, float] | None = None,
) -> Network:
    shape = tuple(round(length / spacing) for length in (180.0, 260.0, 360.0))
    resampled = (float(shape[0]), float(shape[1]), float(shape[2]))
    spacings = (spacing, spacing, spacing)
    return Network(spacings, patch, 2, features, spacings, (shape[0], shape[1], shape[2]), resampled, window_hu)


def _dataset(number: int, title: str, *, adam: bool = False) -> Dataset:
    # The right kidney stays on the right: nothing is mirrored, in training or after.
    return Dataset(number, title, "nnUNetTrainerNoMirroring", adam)


_KIDNEY = ("kidney_right", "kidney_left")
_ORGANS = (
    "lung_right", "lung_left", "bone", "liver", "spleen", "stomach", "kidney_right", "kidney_left", "bladder", "heart",
    "bowel", "gallbladder",
)  # fmt: skip

RECIPES = {
    "totalseg": Recipe(
        dataset=_dataset(911, "PhantomTotalseg", adam=True),
        channels=("CT",),
        phases=(("A",), ("P",), ("D",)),
        labels={name: (name,) for name in _ORGANS},
        network=_network(3.0, (48, 64, 64), (16, 32, 64, 128), (-300.0, 400.0)),
        spacing=(1.5, 3.0),
        height=(-160.0, 200.0),
    ),
    "vessel": Recipe(
        dataset=_dataset(912, "PhantomVessel"),
        channels=("CT arterial", "CT portal venous"),
        phases=(("A", "P"),),
        labels={"kidney": _KIDNEY, "artery": ("artery",), "vein": ("vein",)},
        network=_network(2.0, (64, 64, 64), (12, 24, 48, 96)),
        spacing=(1.2, 2.2),
        height=(-170.0, 130.0),
    ),
    "ureter": Recipe(
        dataset=_dataset(913, "PhantomUreter"),
        channels=("CT delayed",),
        phases=(("D",),),
        labels={"kidney": _KIDNEY, "ureter": ("ureter_right", "ureter_left")},
        network=_network(1.5, (64, 64, 64), (12, 24, 48, 96)),
        spacing=(1.0, 2.0),
        height=(-170.0, 60.0),
    ),
    "tumor": Recipe(
        dataset=_dataset(914, "PhantomTumor", adam=True),
        channels=("CT",),
        phases=(("A",), ("P",), ("D",)),
        labels={"kidney": _KIDNEY, "tumour": ("kidney_tumour",)},
        network=_network(2.0, (64, 64, 64), (12, 24, 48, 96)),
        spacing=(1.2, 2.2),
        height=(-100.0, 80.0),
        # In the arterial phase alone the tumour's HU lie between those of cortex and medulla, and are the kidney's own
        # in the delayed one: drawn evenly, it was still missed when the other phases were done.
        emphasis={"A": 2},
    ),
}
