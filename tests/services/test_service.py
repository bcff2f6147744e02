"""A whole service: every endpoint over gRPC and REST, callers with another view of the volume, faults, attacks."""

import json
import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
import SimpleITK as sitk
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

from segmentation.importing.add import add_package
from segnode_client import CallFailed, Client
from segnode_client.v1 import segmentation_pb2, segmentation_pb2_grpc
from tests.support.node_process import wait_until
from tests.support.service_cases import ALIASES, make_models, say_phases, write_case
from tests.support.service_process import ServiceProcess
from tests.support.tiny_models import make_results_folder

TASKS = {
    "totalseg": {"image_path": "A"},
    "vessel": {"image_A_path": "A", "image_P_path": "P"},
    "ureter": {"image_D_path": "D"},
    "tumor": {"image_path": "A"},
}


def named(task: str, case: str, view: str = "/mnt/cases/") -> dict[str, str]:
    """Fields of a task's request on a case."""
    return {field: f"{view}{case}/{phase}.nii.gz" for field, phase in TASKS[task].items()}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("volume")


@pytest.fixture(scope="module")
def service(volume: Path, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    service = ServiceProcess(tmp_path_factory.mktemp("service"), volume, models, ALIASES).start()
    yield service
    assert service.stop() == 0


@pytest.fixture
def case(volume: Path, request: pytest.FixtureRequest) -> str:
    """A case of this test's own."""
    name = re.sub(r"\W", "_", request.node.name)[:60]
    write_case(volume / name)
    return name


@pytest.fixture
def client(service: ServiceProcess) -> Iterator[Client]:
    with Client(service.grpc, timeout_s=120) as client:
        yield client


def post(service: ServiceProcess, path: str, content: Any, **options: Any) -> httpx.Response:
    return httpx.post(f"{service.rest}/v1/{path}", json=content, timeout=120, **options)


def voxels(path: Path) -> Any:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def test_both_protocols_give_the_same_masks_in_the_caller_s_view(
    service: ServiceProcess, client: Client, volume: Path, case: str
) -> None:
    write_case(volume / f"{case}_2")
    for task in TASKS:
        by_rest = post(service, f"inference/{task}", named(task, case)).json()
        (job,) = [job for job in client.run(task, **named(task, f"{case}_2", "cases:")) if job.state == "done"]
        by_grpc = job.masks[task]
        assert by_rest["mask_path"].startswith(f"/mnt/cases/{case}/mask/")
        assert by_grpc.path.startswith(f"cases:{case}_2/mask/")
        assert by_rest["volumes_ml"] == by_grpc.volumes_ml
        assert list(by_rest["volumes_ml"]) == list(by_grpc.volumes_ml) == ["liver", "left kidney", "tumour"]
        name = Path(by_rest["mask_path"]).name
        assert np.array_equal(voxels(volume / case / "mask" / name), voxels(volume / f"{case}_2" / "mask" / name))


def test_every_method_of_the_client_answers(client: Client, case: str) -> None:
    image = {letter: f"/mnt/cases/{case}/{letter}.nii.gz" for letter in "APD"}
    masks = [
        client.totalseg(image["A"]),
        client.vessel(image["A"], image["P"]),
        client.ureter(image["D"]),
        client.tumor(image["A"]),
    ]
    assert not any(mask.existing for mask in masks)
    batch = client.batch(["totalseg", "ureter"], image=image["A"], image_d=image["D"])
    assert {task: mask.existing for task, mask in batch.items()} == {"totalseg": True, "ureter": True}
    assert client.smooth(masks[0].path, 1.0, labels=["liver"]).path.endswith("mask/total_A_smooth.nii.gz")
    step = {"step": "remove_small", "labels": [1], "min_volume_mm3": 50.0}
    assert client.postprocess(masks[0].path, [step]).path.endswith("mask/total_A_postprocess.nii.gz")


def test_rest_answers_for_batch_and_masks(service: ServiceProcess, case: str) -> None:
    image = f"cases:{case}/A.nii.gz"
    answer = post(service, "inference/batch", {"tasks": ["totalseg", "tumor"], "image_path": image}).json()
    mask = answer["masks"]["totalseg"]["mask_path"]
    assert post(service, "mask/smooth", {"mask_path": mask, "strength": 1.0}).status_code == 200
    steps = [{"step": "keep_largest"}]
    assert post(service, "mask/postprocess", {"mask_path": mask, "steps": steps}).status_code == 200


def test_a_job_is_queued_followed_and_found_again(service: ServiceProcess, case: str) -> None:
    submitted = post(service, "jobs", {"task": "tumor", **named("tumor", case)})
    assert submitted.status_code == 202
    place = submitted.headers["Location"]
    with httpx.stream("GET", f"{service.rest}{place}/events", timeout=60) as stream:
        events = [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: ")]
    assert events[-1]["state"] == "done"
    progress = [event["progress"] for event in events]
    assert progress == sorted(progress)
    assert httpx.get(f"{service.rest}{place}", timeout=60).json() == events[-1]
    missing = httpx.get(f"{service.rest}/v1/jobs/0123", timeout=60)
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_job")


@pytest.mark.parametrize(
    ("task", "fields", "status", "code"),
    [
        ("tumor", {"image_path": "cases:../../etc/passwd"}, 403, "path_outside_roots"),
        ("tumor", {"image_path": "/etc/passwd"}, 403, "path_outside_roots"),
        ("tumor", {"image_path": "cases:none/A.nii.gz"}, 404, "no_such_file"),
        ("ureter", {"image_D_path": "cases:{case}/P.nii.gz"}, 422, "wrong_phase"),
        ("vessel", {"image_A_path": "cases:{case}/A.nii.gz"}, 422, "invalid_request"),
        ("tumor", {"image_path": "cases:{case}/A.nii.gz", "output": ["dicom_seg"]}, 422, "invalid_request"),
    ],
)
def test_both_protocols_refuse_with_one_code(
    task: str, fields: dict[str, Any], status: int, code: str, service: ServiceProcess, client: Client, case: str
) -> None:
    content = {name: value.format(case=case) if isinstance(value, str) else value for name, value in fields.items()}
    answer = post(service, f"inference/{task}", content)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    content["dicom_seg"] = bool(content.pop("output", None))
    try:
        refusal = list(client.run(task, **content))[-1].code
    except CallFailed as failure:  # before it came to the queue
        refusal = failure.code
    assert refusal == code


def test_sent_text_is_not_repeated(service: ServiceProcess) -> None:
    answer = post(service, "inference/tumor", {"image_path": 5, "CANARY": "CANARY^NAME"})
    assert answer.status_code == 422
    assert "CANARY^NAME" not in answer.text


def test_a_long_body_is_not_kept_though_it_says_no_length(service: ServiceProcess) -> None:
    for content in (b"x" * (2 << 20), (b" " * (1 << 16) for _ in range(32))):
        with suppress(httpx.WriteError):  # the connection may end while it is still sent
            answer = httpx.post(f"{service.rest}/v1/jobs", content=content, timeout=60)
            assert (answer.status_code, answer.json()["code"]) == (413, "invalid_request")


def test_a_unary_call_carries_error_details(service: ServiceProcess) -> None:
    with grpc.insecure_channel(service.grpc) as channel, pytest.raises(grpc.RpcError) as caught:
        segmentation_pb2_grpc.SegmentationStub(channel).Tumor(segmentation_pb2.TumorRequest(image_path="cases:x.nii"))
    status = rpc_status.from_call(caught.value)
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == ("no_such_file", "segnode")


def test_health_and_reflection_answer(service: ServiceProcess) -> None:
    with grpc.insecure_channel(service.grpc) as channel:
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        names = ProtoReflectionDescriptorDatabase(channel).get_services()
    assert "segnode.v1.Segmentation" in names
    assert httpx.get(f"{service.rest}/healthz", timeout=60).json() == {"status": "ok"}
    paths = httpx.get(f"{service.rest}/openapi.json", timeout=60).json()["paths"]
    assert {"/v1/inference/totalseg", "/v1/mask/smooth", "/v1/jobs/{job_id}"} <= set(paths)


def test_a_cancelled_call_ends_its_job(service: ServiceProcess, client: Client, volume: Path, case: str) -> None:
    write_case(volume / case, shape=(160, 120, 120))
    job = client.submit("tumor", **named("tumor", case))
    wait_until(lambda: client.job(job.id).state == "running", every_s=0.02)
    assert client.cancel(job.id).state == "cancelled"
    stream = client.run("ureter", **named("ureter", case))
    waiting = next(stream).id
    stream.close()
    wait_until(lambda: client.job(waiting).state == "cancelled")
    # The worker is free again long before the first would have been done.
    small = f"{case}_small"
    write_case(volume / small)
    client.tumor(f"cases:{small}/A.nii.gz")
    assert list((volume / case).glob("mask/*")) == []


def test_a_deadline_ends_the_work(service: ServiceProcess, client: Client, volume: Path, case: str) -> None:
    write_case(volume / case, shape=(160, 120, 120))
    answer = post(service, "inference/tumor", named("tumor", case), params={"timeout": 0.5})
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")
    with Client(service.grpc, timeout_s=0.5) as hasty, pytest.raises(CallFailed) as caught:
        hasty.ureter(f"cases:{case}/D.nii.gz")
    assert caught.value.code == "deadline_exceeded"
    # Jobs are done in turn: what comes after them is done when both have ended.
    write_case(volume / f"{case}_after")
    client.tumor(f"cases:{case}_after/A.nii.gz")
    assert list((volume / case).glob("mask/*")) == []


def test_a_worker_that_dies_takes_up_its_job_again(
    service: ServiceProcess, client: Client, volume: Path, case: str
) -> None:
    with service.held(f"cases:{case}/mask/tumor_A.nii.gz"):
        job = client.submit("tumor", **named("tumor", case))
        wait_until(lambda: client.job(job.id).state == "running")
        (temporary,) = (service.folder / "work").glob(".*.tmp")
        (temporary / "mask-that-was-being-written").touch()
        os.kill(service.children()["worker"], signal.SIGKILL)
    wait_until(lambda: client.job(job.id).state == "done", timeout_s=240)
    assert (volume / case / "mask" / "tumor_A.nii.gz").exists()
    assert list(temporary.iterdir()) == []


def test_a_crowd_loses_no_request(service: ServiceProcess, client: Client, volume: Path, case: str) -> None:
    for number in range(8):
        write_case(volume / f"{case}_{number}", seed=number)

    def ask(number: int) -> bool:
        return client.tumor(f"cases:{case}_{number % 8}/A.nii.gz").path.endswith("mask/tumor_A.nii.gz")

    with ThreadPoolExecutor(16) as crowd:
        assert all(crowd.map(ask, range(48)))


def test_weights_are_swapped_and_put_back_under_load(
    service: ServiceProcess, client: Client, models: Path, volume: Path, case: str
) -> None:
    other = add_package(make_results_folder(service.folder / "other", seed=9), "tumor-other", models)
    say_phases(other.folder / "model.yaml", ())
    for number in range(12):
        write_case(volume / f"{case}_{number}", seed=number)
    config = ["--config", str(service.config)]
    with ThreadPoolExecutor(4) as crowd:
        asked = [crowd.submit(client.tumor, f"cases:{case}_{number}/A.nii.gz") for number in range(12)]
        service.run_command("aliases", "set", "tumor", "tumor-other", *config)
        assert {one.result().model for one in asked} <= {ALIASES["tumor"], "tumor-other"}
    assert client.tumor(f"cases:{case}_0/A.nii.gz").model == "tumor-other"
    service.run_command("aliases", "revert", "tumor", *config)
    assert client.tumor(f"cases:{case}_0/A.nii.gz").model == ALIASES["tumor"]
    wrong = service.run_command("aliases", "set", "vessel", ALIASES["tumor"], *config, expect=2)
    assert "vessel provides 2 images" in wrong


def test_the_command_line_calls(service: ServiceProcess, case: str) -> None:
    address = ["--address", service.grpc]
    answer = service.run_command("call", "tumor", f"image_path=cases:{case}/A.nii.gz", *address)
    assert json.loads(answer)["tumor"]["path"] == f"cases:{case}/mask/tumor_A.nii.gz"
    assert list(json.loads(answer)["tumor"]["volumes_ml"]) == ["liver", "left kidney", "tumour"]
    assert "wrong_phase" in service.run_command(
        "call", "ureter", f"image_D_path=cases:{case}/P.nii.gz", *address, expect=3
    )
    assert "liver" in service.run_command("call", "liver", "image_path=x", *address, expect=2)
