"""The way back to the image's grid against nnU-Net's own export, for one model and for ensembles."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from core.errors import PackageInvalid
from segmentation.labels.export_prediction import Prediction, labels_of_ensemble, labels_of_prediction
from segmentation.package.network_spec import Configuration, Labels, Resampling
from segmentation.preprocessing.preprocess import Grids, preprocess
from tests.support.made_logits import anatomy_logits, random_logits
from tests.support.plans_of import PLAIN, REGIONS, make_configuration, stock_of

SPACING = (2.5, 1.1, 0.9)
TWO = Labels(values={"background": 0, "a": 1})
IGNORE = Labels(values={"background": 0, "a": 1, "b": 2, "c": 3, "ignore": 4})


def image_with_margin() -> NDArray[np.float32]:
    image = np.random.default_rng(0).normal(300, 50, (1, 16, 25, 28)).astype(np.float32)
    image[:, :2] = image[:, :, :3] = image[..., -5:] = 0
    return image


def prediction_of(
    configuration: Configuration, outputs: int, seed: int = 0, *, smooth: bool = True
) -> tuple[Prediction, dict[str, Any]]:
    """Make logits on the grid on which the network would see the image, and nnU-Net's record of it."""
    image = image_with_margin()
    data, grids = preprocess(image, SPACING, configuration, PLAIN)
    _, properties = stock_of(configuration).preprocess(image, SPACING)
    make = anatomy_logits if smooth else random_logits
    return Prediction(make(outputs, data.shape[1:], seed), grids, configuration), properties


def check(configuration: Configuration, labels: Labels, outputs: int, *, smooth: bool = True) -> None:
    prediction, properties = prediction_of(configuration, outputs, smooth=smooth)
    theirs = stock_of(configuration, labels).export(prediction.logits, properties)
    ours = labels_of_prediction(prediction, labels)
    assert ours.dtype == theirs.dtype
    assert len(np.unique(theirs)) == outputs + int(labels.has_regions)
    assert np.array_equal(ours, theirs), f"{int((ours != theirs).sum())} of {theirs.size} differ"


@pytest.mark.parametrize(("labels", "outputs"), [(PLAIN, 4), (REGIONS, 3), (TWO, 2), (IGNORE, 4)])
@pytest.mark.parametrize("spacing", [(1.5, 1.5, 1.5), (9.0, 1.5, 1.5), (1.3, 1.3), SPACING, (3.0, 0.7, 0.6)])
@pytest.mark.parametrize("transpose", [(0, 1, 2), (1, 2, 0)])
def test_labels_on_the_images_grid(
    labels: Labels, outputs: int, spacing: tuple[float, ...], transpose: tuple[int, int, int]
) -> None:
    check(make_configuration(spacing=spacing, transpose=transpose), labels, outputs)


@pytest.mark.parametrize("function", ["resample_torch_fornnunet", "no_resampling_hack"])
@pytest.mark.parametrize(("labels", "outputs"), [(PLAIN, 4), (REGIONS, 3)])
@pytest.mark.parametrize("spacing", [(1.5, 1.5, 1.5), (9.0, 1.5, 1.5)])
def test_other_resampling_functions_run_as_named(
    function: str, labels: Labels, outputs: int, spacing: tuple[float, ...]
) -> None:
    check(make_configuration(spacing=spacing, transpose=(1, 0, 2), function=function), labels, outputs)
    check(make_configuration(spacing=spacing, function=function), labels, outputs, smooth=False)


@pytest.mark.parametrize(("labels", "outputs"), [(PLAIN, 4), (REGIONS, 3)])
@pytest.mark.parametrize("second", ["resample_data_or_seg_to_shape", "resample_torch_fornnunet"])
@pytest.mark.parametrize("smooth", [True, False])
def test_ensembles_average_probabilities(labels: Labels, outputs: int, second: str, smooth: bool) -> None:
    configurations = [
        make_configuration(),
        make_configuration(spacing=(1.3, 1.3), function=second),
        make_configuration(spacing=(9.0, 1.5, 1.5), transpose=(2, 0, 1)),
    ]
    made = [prediction_of(c, outputs, seed, smooth=smooth) for seed, c in enumerate(configurations)]
    total: NDArray[np.float32] | None = None
    for configuration, (prediction, properties) in zip(configurations, made, strict=True):
        _, probabilities = stock_of(configuration, labels).export(prediction.logits, properties, probabilities=True)
        total = probabilities.copy() if total is None else total + probabilities
    assert total is not None
    mean = total / np.float32(len(made))
    theirs = stock_of(configurations[0], labels).labels.convert_probabilities_to_segmentation(mean)
    ours = labels_of_ensemble([prediction for prediction, _ in made], labels)
    alone = [labels_of_prediction(prediction, labels) for prediction, _ in made]
    assert (ours != alone[0]).any()
    assert np.array_equal(ours, theirs), f"{int((ours != theirs).sum())} of {theirs.size} differ"


def test_resampling_that_is_not_supported_is_refused() -> None:
    prediction, _ = prediction_of(make_configuration(), 4)
    spline = prediction.configuration.resampling_probabilities
    for arguments, reason in (({"order": 3}, "order 3 is not supported"), ({"order_z": 1}, "order_z other than 0")):
        changed = Resampling(function=spline.function, arguments={**spline.arguments, **arguments})
        configuration = prediction.configuration.model_copy(update={"resampling_probabilities": changed})
        with pytest.raises(PackageInvalid, match=reason):
            labels_of_prediction(Prediction(prediction.logits, prediction.grids, configuration), PLAIN)
    none = make_configuration(function="no_resampling_hack").resampling_probabilities
    configuration = prediction.configuration.model_copy(update={"resampling_probabilities": none})
    with pytest.raises(PackageInvalid, match="would not be resampled back"):
        labels_of_prediction(Prediction(prediction.logits, prediction.grids, configuration), PLAIN)


def test_logits_in_a_padded_array_are_read_in_place() -> None:
    prediction, properties = prediction_of(make_configuration(), 4)
    padded = torch.zeros([size + 4 for size in prediction.logits.shape], dtype=torch.half)
    inner = padded[2:-2, 2:-2, 2:-2, 2:-2]
    inner.copy_(prediction.logits)
    grids: Grids = prediction.grids
    ours = labels_of_prediction(Prediction(inner, grids, prediction.configuration), PLAIN)
    assert np.array_equal(ours, stock_of(prediction.configuration).export(prediction.logits, properties))
