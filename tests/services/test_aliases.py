"""Any alias is an endpoint, over REST, gRPC and the client; and the list of models says what each takes and gives."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import SimpleITK as sitk
import yaml

from core.errors import ConfigInvalid
from segnode_client import Channel, Client, RequestRefused
from services.aliases import Aliases
from services.settings import ServiceSettings, load_service_settings
from services.tasks import RESERVED, check_alias, check_apart
from tests.support.service_cases import ALIASES, make_models, say_phases, write_case
from tests.support.service_process import ServiceProcess

OWN = {"liver": ALIASES["tumor"], "two_phases": "two-tiny", "gone": "not-there"}
"""Aliases beside the four tasks; one has no package any more."""


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    volume = tmp_path_factory.mktemp("volume")
    for name in ("rest", "grpc", "client", "two", "other"):
        write_case(volume / name)
    return volume


@pytest.fixture(scope="module")
def service(volume: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    models = make_models(tmp_path_factory.mktemp("models"))
    (models / ALIASES["vessel"]).rename(models / "two-tiny")
    content = yaml.safe_load((models / "two-tiny" / "model.yaml").read_text())
    content["channels"][0]["name"], content["channels"][1]["name"] = "art", "pv"
    (models / "two-tiny" / "model.yaml").write_text(yaml.safe_dump(content))
    say_phases(models / "two-tiny" / "model.yaml", ("arterial", "portal"))
    aliases = {task: model for task, model in ALIASES.items() if task != "vessel"} | OWN
    del aliases["gone"]  # a worker loads each that stands here
    service = ServiceProcess(tmp_path_factory.mktemp("service"), volume, models, aliases).start()
    place = service.folder / "work" / "aliases.json"
    place.write_text(json.dumps({"aliases": {"gone": {"model": OWN["gone"], "earlier": []}}}))
    yield service
    assert service.stop() == 0


@pytest.fixture
def client(service: ServiceProcess) -> Iterator[Client]:
    with Client(service.grpc, timeout_s=120) as client:
        yield client


def post(service: ServiceProcess, path: str, content: Any) -> httpx.Response:
    return httpx.post(f"{service.rest}/v1/{path}", json=content, timeout=120)


def voxels(path: Path) -> Any:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def test_an_alias_gives_the_mask_that_the_task_of_its_model_gives(
    service: ServiceProcess, client: Client, volume: Path
) -> None:
    task = post(service, "inference/tumor", {"image_path": "/mnt/cases/rest/A.nii.gz"}).json()
    alias = post(service, "inference/liver", {"image_path": "/mnt/cases/rest/A.nii.gz"})
    assert (alias.status_code, alias.json()["mask_path"]) == (200, "/mnt/cases/rest/mask/liver_A.nii.gz")
    assert alias.json()["model_sha256"] == task["model_sha256"]
    assert alias.json()["volumes_ml"] == task["volumes_ml"]
    expected = voxels(volume / "rest" / "mask" / "tumor_A.nii.gz")
    assert np.array_equal(voxels(volume / "rest" / "mask" / "liver_A.nii.gz"), expected)
    assert post(service, "inference/liver", {"image_path": "cases:rest/A.nii.gz"}).json()["existing"]
    by_client = client.inference("liver", "cases:grpc/A.nii.gz")
    assert by_client.path == "cases:grpc/mask/liver_A.nii.gz"
    assert np.array_equal(voxels(volume / "grpc" / "mask" / "liver_A.nii.gz"), expected)


def test_a_model_of_two_channels_gets_each_image_by_its_channel(
    service: ServiceProcess, client: Client, volume: Path
) -> None:
    images = {"pv": "cases:two/P.nii.gz", "art": "cases:two/A.nii.gz"}
    found = post(service, "inference/two_phases", {"images": images})
    assert found.status_code == 200, found.text
    assert found.json()["mask_path"] == "cases:two/mask/two-phases_A.nii.gz"
    assert client.inference("two_phases", images=images).existing
    swapped = {"pv": images["art"], "art": images["pv"]}
    for content, code, word in (
        ({"images": swapped}, "wrong_phase", "images.art must be arterial"),
        ({"images": {"art": images["art"]}}, "invalid_request", "channels are art, pv"),
        ({"images": {**images, "CANARY": images["art"]}}, "invalid_request", "channels are art, pv"),
        ({"image_path": images["art"]}, "invalid_request", "the model takes 2 images"),
        ({}, "invalid_request", "image_path or images"),
        ({"image_path": images["art"], "images": images}, "invalid_request", "image_path or images"),
        ({"images": {"art": images["art"], "pv": images["art"]}}, "invalid_request", "the same file"),
    ):
        answer = post(service, "inference/two_phases", content)
        assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
        assert word in answer.json()["detail"]
        assert "CANARY" not in answer.text


@pytest.mark.parametrize(
    ("alias", "status", "code"),
    [
        ("spleen", 404, "unknown_alias"),
        ("gone", 500, "service_misconfigured"),
        ("Liver", 422, "invalid_request"),
        ("smooth", 422, "invalid_request"),
        ("..", 404, "unknown_path"),
    ],
)
def test_other_names_are_refused_with_a_code(service: ServiceProcess, alias: str, status: int, code: str) -> None:
    answer = post(service, f"inference/{alias}", {"image_path": "cases:other/A.nii.gz"})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert str(service.folder) not in answer.text


def test_the_client_is_told_of_an_unknown_alias(client: Client) -> None:
    with pytest.raises(RequestRefused) as caught:
        client.inference("spleen", "cases:other/A.nii.gz")
    assert caught.value.code == "unknown_alias"


def test_a_job_of_an_alias_can_be_queued(service: ServiceProcess) -> None:
    content = {"task": "alias", "alias": "liver", "image_path": "cases:other/A.nii.gz"}
    submitted = post(service, "jobs", content)
    assert submitted.status_code == 202
    with httpx.stream("GET", f"{service.rest}{submitted.headers['Location']}/events", timeout=60) as stream:
        events = [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: ")]
    assert events[-1]["state"] == "done"
    assert set(events[-1]["masks"]) == {"liver"}


def test_the_models_are_listed_with_what_they_take_and_give(
    service: ServiceProcess, client: Client, volume: Path
) -> None:
    answer = httpx.get(f"{service.rest}/v1/models", timeout=60)
    assert answer.status_code == 200
    models = {one["alias"]: one for one in answer.json()["models"]}
    assert set(models) == {"totalseg", "ureter", "tumor", *OWN}
    liver, two, ureter = models["liver"], models["two_phases"], models["ureter"]
    assert (liver["endpoint"], liver["model"], liver["usable"]) == ("/v1/inference/liver", ALIASES["tumor"], True)
    assert [label["name"] for label in liver["labels"]] == ["liver", "left kidney", "tumour"]
    assert [(c["name"], c["field"], c["phase"]) for c in two["channels"]] == [
        ("art", "images.art", ["arterial"]),
        ("pv", "images.pv", ["portal"]),
    ]
    assert [c["field"] for c in liver["channels"]] == ["image_path"]
    assert [(c["field"], c["phase"]) for c in ureter["channels"]] == [("image_D_path", ["delayed"])]
    assert models["gone"]["usable"] is False
    for secret in (str(service.folder), str(volume), "/tmp", "model.yaml", "sha256"):  # noqa: S108 - it is looked for
        assert secret not in answer.text
    by_client = {model.alias: model for model in client.models()}
    assert set(by_client) == set(models)
    assert by_client["liver"].labels == {label["value"]: label["name"] for label in liver["labels"]}
    assert by_client["two_phases"].channels[1] == Channel("pv", "images.pv", ("CT",), ("portal",))
    assert not by_client["gone"].usable


def test_openapi_describes_both(service: ServiceProcess) -> None:
    paths = httpx.get(f"{service.rest}/openapi.json", timeout=60).json()["paths"]
    assert {"/v1/inference/{alias}", "/v1/models"} <= set(paths)
    for task in ("totalseg", "vessel", "ureter", "tumor", "batch"):
        assert f"/v1/inference/{task}" in paths


def test_the_command_line_sets_lists_and_calls_an_alias(service: ServiceProcess) -> None:
    config = ["--config", str(service.config)]
    service.run_command("aliases", "set", "mine", ALIASES["tumor"], *config)
    assert "mine" in service.run_command("aliases", "list", *config)
    answer = service.run_command(
        "call", "alias", "alias=mine", "image_path=cases:client/A.nii.gz", "--address", service.grpc
    )
    assert json.loads(answer)["mine"]["path"] == "cases:client/mask/mine_A.nii.gz"
    assert "batch is reserved" in service.run_command("aliases", "set", "batch", ALIASES["tumor"], *config, expect=2)
    twin = service.run_command("aliases", "set", "two-phases", ALIASES["tumor"], *config, expect=2)
    assert "differ only in" in twin


def settings_with(aliases: dict[str, str], folder: Path) -> ServiceSettings:
    return load_service_settings(ServiceProcess(folder, folder / "volume", folder / "models", aliases).config)


@pytest.mark.parametrize(
    "name", [*RESERVED, "Liver", "li.ver", "-liver", "_liver", "a" * 64, "li/ver", "../x", "é", ""]
)
def test_a_name_that_no_alias_can_have_is_refused_when_settings_are_read(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigInvalid, match="reserved: .*; choose another" if name in RESERVED else "an alias has 1 to"
    ):
        settings_with({name: "tumor-tiny"}, tmp_path)


def test_aliases_whose_masks_would_share_a_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="left-kidney and left_kidney differ only"):
        settings_with({"left_kidney": "a", "left-kidney": "b"}, tmp_path)
    check_apart(["left_kidney", "leftkidney"])
    assert [check_alias(name) for name in ("left_kidney", "7t", "totalseg")] == ["left_kidney", "7t", "totalseg"]


def test_a_file_of_aliases_with_a_reserved_name_is_damaged(tmp_path: Path) -> None:
    aliases = Aliases(settings_with({}, tmp_path))
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "aliases.json").write_text(json.dumps({"aliases": {"batch": {"model": "a"}}}))
    with pytest.raises(ConfigInvalid, match="damaged"):
        aliases.read()
