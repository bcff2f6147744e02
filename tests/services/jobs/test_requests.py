"""Requests of the service, valid and invalid."""

from typing import Any

import pytest

from core.errors import RequestCode, RequestRefused
from services.jobs.requests import BatchRequest, SmoothRequest, VesselRequest, image_fields, parse_request


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({}, "task"),
        ({"task": "liver"}, "request: 'task' must be one of 'totalseg', "),
        ({"task": "totalseg"}, "image_path: Field required"),
        ({"task": "totalseg", "image_path": ""}, "image_path: String should have at least 1"),
        ({"task": "vessel", "image_A_path": "a"}, "image_P_path: Field required"),
        ({"task": "tumor", "image_path": "a", "image_A_path": "b"}, "image_A_path: Extra inputs"),
        ({"task": "tumor", "image_path": "a", "output": ["png"]}, "output.0"),
        ({"task": "batch", "tasks": []}, "tasks"),
        ({"task": "batch", "tasks": ["tumor", "vessel"], "image_path": "a"}, "vessel needs image_A_path"),
        ({"task": "batch", "tasks": ["tumor", "tumor"], "image_path": "a"}, "named twice"),
        ({"task": "smooth", "mask_path": "m", "strength": 0}, "strength"),
        ({"task": "postprocess", "mask_path": "m", "steps": []}, "steps"),
        (
            {"task": "postprocess", "mask_path": "m", "steps": [{"step": "erase"}]},
            "steps.0: 'step' must be one of",
        ),
        (
            {"task": "postprocess", "mask_path": "m", "steps": [{"step": "keep_largest", "labels": [1, 2, 1]}]},
            "a label twice",
        ),
    ],
)
def test_fault_of_a_request_is_named(content: dict[str, Any], says: str) -> None:
    with pytest.raises(RequestRefused) as caught:
        parse_request(content)
    assert caught.value.code is RequestCode.INVALID_REQUEST
    assert says in caught.value.detail


@pytest.mark.parametrize(
    "content",
    [
        {"task": "tumor", "image_path": "a", "patient": "CANARY^NAME"},
        {"task": "CANARY^NAME"},
        {"task": "batch", "tasks": ["CANARY^NAME"]},
        {"task": "postprocess", "mask_path": "m", "steps": [{"step": "CANARY^NAME"}]},
    ],
)
def test_sent_text_is_not_repeated(content: dict[str, Any]) -> None:
    with pytest.raises(RequestRefused) as caught:
        parse_request(content)
    assert "CANARY" not in str(caught.value)


def test_a_batch_is_the_requests_that_it_stands_for() -> None:
    batch = parse_request(
        {
            "task": "batch",
            "tasks": ["vessel", "tumor"],
            "image_path": "i",
            "image_A_path": "a",
            "image_P_path": "p",
            "registration": "rigid",
            "force": True,
            "output": ["dicom_seg"],
        }
    )
    assert isinstance(batch, BatchRequest)
    vessel, tumor = batch.parts
    assert vessel == VesselRequest(
        image_A_path="a", image_P_path="p", registration="rigid", force=True, output=("dicom_seg",)
    )
    assert (tumor.task, tumor.force) == ("tumor", True)


def test_images_come_in_the_order_of_the_channels() -> None:
    assert image_fields("vessel") == ("image_A_path", "image_P_path")
    assert image_fields("ureter") == ("image_D_path",)


def test_smoothing_is_post_processing_of_some_labels() -> None:
    (step,) = SmoothRequest(mask_path="m", strength=1.5).steps((2, 3))
    assert step.model_dump() == {"step": "smooth", "labels": (2, 3), "sigma_mm": 1.5}
    (step,) = SmoothRequest(mask_path="m", strength=1.5, method="open").steps(())
    assert step.model_dump() == {"step": "open", "labels": (), "radius_mm": 1.5}
