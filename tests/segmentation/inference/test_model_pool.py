"""Networks that stay and leave, one device for several studies, and memory that is reserved before it is used."""

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.errors import ReasonCode, RetryLater, StudyRejected
from core.volume import Geometry
from segmentation.importing.add import add_package
from segmentation.inference import model_pool
from segmentation.inference.available_memory import Memory
from segmentation.inference.engine import Engine
from segmentation.inference.memory_estimate import predict
from segmentation.inference.model_pool import MemoryRequest, ModelPool
from segmentation.package.package import Package
from segmentation.verification.profile_benchmark import PROFILES
from tests.support.node_process import PATIENCE_S
from tests.support.tiny_models import make_results_folder, make_volume

SMALL = make_volume(shape=(8, 24, 22))
GB = 2**30


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[Package]:
    """Add three models of equal size; mirroring makes their profiles differ on every processor."""
    folder = tmp_path_factory.mktemp("warm")
    return [
        add_package(make_results_folder(folder / name, mirror_axes=(2,), seed=seed), name, folder / "models")
        for seed, name in enumerate(("one", "two", "three"))
    ]


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """List the names of the packages whose networks were loaded, in order."""
    names: list[str] = []
    original = Engine.__init__

    def init(self: Engine, package: Package, device: str = "auto") -> None:
        names.append(package.name)
        original(self, package, device)

    monkeypatch.setattr(Engine, "__init__", init)
    return names


def test_networks_stay_loaded_and_give_the_labels_of_an_engine(packages: list[Package], loaded: list[str]) -> None:
    models = ModelPool("cpu")
    masks = [models.segment(packages[0], SMALL).label_map.array for _ in range(2)]
    assert loaded == ["one"]
    expected = Engine(packages[0], "cpu").segment(SMALL).label_map.array
    assert all(np.array_equal(mask, expected) for mask in masks)


def test_the_least_recently_used_leaves_where_the_budget_is_full(packages: list[Package], loaded: list[str]) -> None:
    one, two, three = packages
    models = ModelPool("cpu", budget=2 * one.weight_bytes)
    for package in (one, two, one, three, one, two):
        models.segment(package, SMALL)
    assert loaded == ["one", "two", "three", "two"], "two leaves for three, then three for two; one was used since"


def test_a_model_larger_than_the_budget_runs_alone(packages: list[Package], loaded: list[str]) -> None:
    models = ModelPool("cpu", budget=1)
    for package in (packages[0], packages[0], packages[1]):
        models.segment(package, SMALL)
    assert loaded == ["one", "two"]


def test_profiles_of_one_model_are_told_apart(packages: list[Package], loaded: list[str]) -> None:
    models = ModelPool("cpu")
    found = {}
    for profile in PROFILES:
        package = packages[0].in_profile(profile)
        found[profile] = models.segment(package, SMALL).label_map.array
        assert np.array_equal(found[profile], Engine(package, "cpu").segment(SMALL).label_map.array)
    assert not np.array_equal(found["exact"], found["fast"])


def test_a_warm_start_loads_what_the_budget_holds(packages: list[Package], loaded: list[str]) -> None:
    models = ModelPool("cpu", budget=2 * packages[0].weight_bytes)
    models.warm(packages)
    assert loaded == ["one", "two"]
    models.segment(packages[1], SMALL)
    assert loaded == ["one", "two"]


def test_one_network_runs_at_a_time(packages: list[Package], monkeypatch: pytest.MonkeyPatch) -> None:
    running: list[int] = []
    most: list[int] = []
    original = Engine.segment

    def segment(self: Engine, *arguments: Any, **more: Any) -> Any:
        running.append(1)
        most.append(len(running))
        try:
            return original(self, *arguments, **more)
        finally:
            running.pop()

    monkeypatch.setattr(Engine, "segment", segment)
    models = ModelPool("cpu")
    threads = [threading.Thread(target=models.segment, args=(package, SMALL)) for package in packages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1]


class Host:
    """A machine of 8 GB; memory that is held does not count in its ``free``."""

    def __init__(self) -> None:
        self.memory = Memory(8 * GB, 8 * GB)

    def __call__(self) -> Memory:
        return self.memory


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(model_pool, "resident_bytes", lambda: 0)
    return Host()


def memory_request(package: Package, slices: int) -> MemoryRequest:
    return MemoryRequest(package, Geometry((slices, 512, 512), (1.5, 0.8, 0.8), (0.0, 0.0, 0.0), np.eye(3)), "ct")


def test_a_model_that_fits_gets_memory_and_one_that_never_fits_is_refused_alone(
    packages: list[Package], host: Host
) -> None:
    models = ModelPool("cpu", host=host)
    with models.reservation() as reservation:
        answers = reservation.reserve(
            [memory_request(packages[0], 100), memory_request(packages[1], 9000), memory_request(packages[2], 100)]
        )
    assert [type(answer) for answer in answers] == [type(None), StudyRejected, type(None)]
    assert answers[1] is not None
    assert answers[1].code is ReasonCode.TOO_LARGE


def test_memory_that_other_programs_hold_is_a_reason_to_try_later(packages: list[Package], host: Host) -> None:
    models = ModelPool("cpu", host=host)
    host.memory = replace(host.memory, free=GB // 4)
    with models.reservation() as reservation, pytest.raises(RetryLater, match=r"GB are needed, 0\.3 GB are free"):
        reservation.reserve([memory_request(packages[0], 400)])
    host.memory = replace(host.memory, free=6 * GB)
    with models.reservation() as reservation:
        assert reservation.reserve([memory_request(packages[0], 400)]) == [None]


def test_a_study_waits_for_another_of_the_same_process_and_not_longer(packages: list[Package], host: Host) -> None:
    models = ModelPool("cpu", host=host)
    one = predict(packages[0], memory_request(packages[0], 400).geometry, "cpu")
    host.memory = replace(host.memory, free=int(1.5 * one.total))
    asked, second = threading.Event(), threading.Event()

    def work() -> None:
        with models.reservation() as reservation:
            asked.set()
            reservation.reserve([memory_request(packages[1], 400)])
            second.set()

    with models.reservation() as reservation:
        reservation.reserve([memory_request(packages[0], 400)])
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        assert asked.wait(PATIENCE_S)
        assert not second.wait(0.3)
    assert second.wait(PATIENCE_S)
    thread.join()


def test_two_studies_that_fit_together_do_not_wait(packages: list[Package], host: Host) -> None:
    models = ModelPool("cpu", host=host)
    with models.reservation() as first, models.reservation() as second:
        assert (
            first.reserve([memory_request(packages[0], 200)])
            == second.reserve([memory_request(packages[1], 200)])
            == [None]
        )


def test_a_device_that_is_full_at_the_start_does_not_stop_the_start(
    packages: list[Package], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise RetryLater("full")

    monkeypatch.setattr(Engine, "__init__", full)
    ModelPool("cpu").warm(packages)
    assert caplog.messages == ["model_not_warmed"]
