"""The backend follows from profile, package and measurement; nobody names one, and no clock is asked."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.backend import Backend, BackendName, Precision
from core.model_config import Profile
from segmentation.backends import choice, openvino_network
from segmentation.backends.choice import settle
from segmentation.backends.converted import FOLDER, convert_all
from segmentation.backends.processor_kind import kind_of_processor
from segmentation.importing.add import add_package
from segmentation.inference.engine import Engine
from segmentation.package.hashes import SUMS
from segmentation.package.import_record import ImportRecord
from segmentation.package.package import MODEL_YAML, Package, load_package, open_package
from segmentation.package.profile_results import (
    CaseMeasurement,
    Loss,
    Measurement,
    ProfileRun,
    store_measurement,
)
from segmentation.package.results_file import settings_hash
from segmentation.verification.profile_benchmark import use_profile
from tests.support.tiny_models import make_results_folder, make_volume

SHIPPED_MODELS = Path(__file__).parents[3] / "models"
TORCH = torch.__version__.partition("+")[0]
UNITS = {
    "cpu amx_bf16": {"amx_bf16": True, "avx512_bf16": True, "avx512_f": True, "avx2": True},
    "cpu avx512_bf16": {"avx512_bf16": True, "avx512_f": True, "avx2": True},
    "cpu avx512": {"avx512_f": True, "avx2": True},
    "cpu avx2": {"avx2": True},
    "cpu aarch64": {"architecture": "aarch64"},
}


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch):
    """Pretend to be a processor of another kind; nothing is computed on it."""

    def pretend(kind: str) -> None:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: UNITS[kind])
        assert kind_of_processor("cpu") == kind

    return pretend


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every network is there in OpenVINO's form."""
    monkeypatch.setattr(choice, "_has_openvino", lambda package, precision: True)
    monkeypatch.setattr(openvino_network, "installed_version", lambda: "2026.4.1")


def old(package: Package) -> Package:
    """Return the package as one that was added before there were backends."""
    return replace(package, record=None)


def measured(
    package: Package,
    processor: str | None,
    backends: dict[Profile, BackendName],
    profiles: tuple[Profile, ...] = ("equal", "fast"),
    precisions: dict[Profile, Precision] | None = None,
) -> None:
    run = ProfileRun(seconds=1.0, peak_bytes=None, truth_dice=None)
    case = CaseMeasurement(
        image_sha256=("0" * 64,),
        truth_sha256=None,
        voxels=1,
        runs=dict.fromkeys(("exact", *profiles), run),
        losses=dict.fromkeys(profiles, Loss(mismatches=0, dice={})),
    )
    store_measurement(
        package.folder,
        Measurement(
            when="2026-11-30T00:00:00+00:00",
            seal=package.seal,
            settings=settings_hash(package.config, {"profile"}),
            segnode="0.1.0",
            device="cpu",
            processor=processor,
            backends=backends,
            precisions=precisions or {},
            cases=(case,),
        ),
    )


@pytest.mark.usefixtures("converted")
class TestWhatRuns:
    @pytest.mark.parametrize("kind", UNITS)
    def test_exact_is_torch_as_before(self, package: Package, on, kind: str) -> None:
        on(kind)
        for one in (package, old(package)):
            assert settle(one, "cpu") is one

    @pytest.mark.parametrize("kind", UNITS)
    def test_equal_is_single_precision_everywhere(self, package: Package, on, kind: str) -> None:
        on(kind)
        for one in (package, old(package)):
            settled = settle(one.in_profile("equal"), "cpu")
            assert settled.options.backend == Backend("openvino", "2026.4.1", "float32")
            assert settle(settled, "cpu") is settled
            assert settled.inference.active == package.in_profile("exact").inference.active

    @pytest.mark.parametrize(
        ("kind", "precision"),
        [
            ("cpu amx_bf16", "bfloat16"),
            ("cpu avx512_bf16", "bfloat16"),
            ("cpu avx512", "float32"),
            ("cpu avx2", "float32"),
            ("cpu aarch64", "float32"),
        ],
    )
    def test_fast_takes_the_units_that_there_are(self, package: Package, on, kind: str, precision: str) -> None:
        on(kind)
        assert settle(package.in_profile("fast"), "cpu").options.backend == Backend("openvino", "2026.4.1", precision)
        for record in (None, ImportRecord(schema_version=1, segnode="0.1.0")):
            before = replace(package, record=record).in_profile("fast")
            assert settle(before, "cpu") is before

    @pytest.mark.parametrize("kind", UNITS)
    def test_packages_that_come_along_keep_torch_in_fast(self, on, kind: str) -> None:
        on(kind)
        for path in sorted(SHIPPED_MODELS.glob(f"*/{SUMS}")):
            shipped = open_package(path.parent).in_profile("fast")
            assert settle(shipped, "cpu") is shipped

    def test_the_quicker_backend_is_the_one_that_was_measured_here(self, package: Package, on) -> None:
        on("cpu avx512_bf16")
        fast = package.in_profile("fast")
        measured(package, "cpu avx2", {"fast": "torch"})
        assert settle(fast, "cpu").options.backend.name == "openvino"
        measured(package, "cpu avx512_bf16", {"fast": "torch"})
        assert settle(fast, "cpu").options.backend == Backend("torch", TORCH, "bfloat16")
        measured(package, "cpu avx512_bf16", {"fast": "openvino"})
        assert settle(fast, "cpu").options.backend == Backend("openvino", "2026.4.1", "bfloat16")
        assert settle(old(fast), "cpu").options.backend is None

    def test_single_precision_runs_where_it_was_measured_to_be_quicker(self, package: Package, on) -> None:
        on("cpu avx512_bf16")
        measured(package, "cpu avx512_bf16", {"fast": "openvino"}, precisions={"fast": "float32"})
        assert settle(package.in_profile("fast"), "cpu").options.backend == Backend("openvino", "2026.4.1", "float32")
        on("cpu amx_bf16")
        assert settle(package.in_profile("fast"), "cpu").options.backend == Backend("openvino", "2026.4.1", "bfloat16")

    def test_no_bf16_where_the_package_forbids_it(self, package: Package, on) -> None:
        on("cpu amx_bf16")
        path = package.folder / MODEL_YAML
        path.write_text(path.read_text().replace("    bf16: true", "    bf16: false"))
        forbidden = load_package(package.folder)
        measured(forbidden, "cpu amx_bf16", {"fast": "openvino"}, precisions={"fast": "bfloat16"})
        backend = settle(forbidden.in_profile("fast"), "cpu").options.backend
        assert backend == Backend("openvino", "2026.4.1", "float32")


@pytest.mark.usefixtures("converted")
class TestProfileThatUseWrote:
    def test_an_old_package_gets_what_was_measured(self, package: Package, on) -> None:
        on("cpu avx512_bf16")
        measured(package, "cpu avx512_bf16", {"fast": "openvino"})
        use_profile(package, "fast", 0.998)
        used = old(load_package(package.folder))
        assert used.used_profile == "fast"
        assert settle(used, "cpu").options.backend == Backend("openvino", "2026.4.1", "bfloat16")

    def test_falls_back_where_nothing_was_measured(
        self, package: Package, on, caplog: pytest.LogCaptureFixture
    ) -> None:
        measured(package, "cpu avx512_bf16", {"equal": "openvino"})
        use_profile(package, "equal", None)
        used = load_package(package.folder)
        on("cpu avx2")
        with caplog.at_level(logging.WARNING, "segnode"):
            assert settle(used, "cpu").inference.profile == "exact"
        assert [one.getMessage() for one in caplog.records] == ["profile_not_measured_here"]
        assert settle(used.in_profile("equal"), "cpu").inference.profile == "equal"  # a person asks
        on("cpu avx512_bf16")
        assert settle(used, "cpu").inference.profile == "equal"

    def test_a_profile_that_a_person_wrote_runs_as_asked(self, package: Package, on) -> None:
        on("cpu avx2")
        path = package.folder / MODEL_YAML
        use_profile(package, "equal", None)
        path.write_text(path.read_text().replace("profile: equal", "profile: fast"))
        assert settle(load_package(package.folder), "cpu").inference.profile == "fast"

    def test_a_measurement_without_a_processor_counts_for_every_kind(self, package: Package, on) -> None:
        on("cpu avx2")
        measured(package, None, {}, ("fast",))
        use_profile(package, "fast", 0.9)
        assert settle(load_package(package.folder), "cpu").inference.profile == "fast"


class TestTorchInstead:
    def test_where_it_is_not_installed(
        self, package: Package, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(openvino_network, "is_installed", lambda: False)
        volume = make_volume(shape=(10, 24, 22))
        with caplog.at_level(logging.WARNING, "segnode"):
            engine = Engine(package.in_profile("equal"), "cpu")
        assert [(one.getMessage(), one.problem) for one in caplog.records] == [
            ("backend_not_used", "it is not installed")
        ]
        assert engine.backend == Backend("torch", TORCH, "float32")
        exact = Engine(package, "cpu").segment(volume)
        result = engine.segment(volume)
        assert np.array_equal(result.label_map.array, exact.label_map.array)
        assert result.package.inference.profile == "equal"

    @pytest.mark.usefixtures("openvino")
    def test_where_a_network_does_not_compile(
        self, package: Package, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """As bfloat16 where the environment masks its units, though the processor names them."""

        def compile_nothing(*_: object) -> None:
            raise RuntimeError("could not create a primitive descriptor")

        monkeypatch.setattr(choice, "OpenVinoNetwork", compile_nothing)
        with caplog.at_level(logging.WARNING, "segnode"):
            backend = settle(package.in_profile("equal"), "cpu").options.backend
        assert backend == Backend("torch", TORCH, "float32")
        assert [one.problem for one in caplog.records] == ["could not create a primitive descriptor"]

    @pytest.mark.usefixtures("openvino")
    def test_where_it_cannot_be_imported(
        self, package: Package, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def lacks_a_library() -> None:
            raise ImportError("libtbb.so.12: cannot open shared object file")

        monkeypatch.setattr(openvino_network, "load_openvino", lacks_a_library)
        with caplog.at_level(logging.WARNING, "segnode"):
            assert settle(package.in_profile("equal"), "cpu").options.backend == Backend("torch", TORCH, "float32")
        assert [one.problem for one in caplog.records] == ["libtbb.so.12: cannot open shared object file"]
        assert "not converted for OpenVINO: libtbb.so.12" in convert_all(package)

    @pytest.mark.usefixtures("openvino")
    def test_where_nothing_can_be_written(self, package: Package, caplog: pytest.LogCaptureFixture) -> None:
        (package.folder.parent / FOLDER).write_text("a file where the folder should be")
        with caplog.at_level(logging.WARNING, "segnode"):
            backend = settle(package.in_profile("equal"), "cpu").options.backend
        assert backend == Backend("torch", TORCH, "float32")
        assert [one.getMessage() for one in caplog.records] == ["backend_not_used"]


@pytest.mark.usefixtures("openvino")
def test_a_worker_that_finds_no_converted_network_makes_it_and_says_so(
    package: Package, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "segnode"):
        first = Engine(package.in_profile("equal"), "cpu")
        assert [(one.getMessage(), vars(one).get("problem")) for one in caplog.records] == [("network_converted", None)]
        Engine(package.in_profile("equal"), "cpu")
    assert len(caplog.records) == 1
    assert first.backend.name == "openvino"


@pytest.mark.usefixtures("openvino")
def test_every_fold_that_runs_is_converted(tmp_path: Path) -> None:
    package = add_package(make_results_folder(tmp_path, "folds"), "tiny", tmp_path / "models")
    settle(package.in_profile("equal"), "cpu")
    (cache,) = (tmp_path / "models" / FOLDER).glob("openvino-*")
    assert len(list(cache.iterdir())) == sum(len(c.folds) for c in package.manifest.configurations) > 1
