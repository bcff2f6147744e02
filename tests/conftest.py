"""Fixtures for every test: real series and the peers on this machine; and the tables at the end of a run."""

import logging
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from socketserver import BaseServer

import pytest
from hypothesis import HealthCheck, settings

from segmentation.backends.openvino_network import is_installed
from tests.support.mlflow_server import MlflowServer, find_mlflow
from tests.support.node_process import free_port
from tests.support.peers import ORTHANC_PLUGINS, Orthanc, find_program
from tests.support.postgres import Postgres, find_postgres
from tests.support.tiers import TIERS, the_guard, tier_of

# The same examples in every run: what a search finds belongs into a test of its own, not into somebody's CI. How long
# it takes to make them says how busy the machine is, and nothing of this project.
settings.register_profile("fixed", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
# For ``make test-long``, which gives each of its parts a seed.
settings.register_profile(
    "long", max_examples=2000, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("SEGNODE_HYPOTHESIS", "fixed"))

PEERS_ARE_REQUIRED = os.environ.get("SEGNODE_REQUIRE_PEERS") == "1"
FAULT = "fault"
"""Property under which a row of the fault table records its name."""
PARITY = "parity"
"""Property under which a parity test records its line of the table at the end."""
DATA = Path(os.environ.get("SEGNODE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


# Unless it is told, nnU-Net asks a program for the name of this machine, in whichever test imports it first.
os.environ.setdefault("nnUNet_n_proc_DA", "1")

# So often a server in this process looks whether it is to end; by default every end waits half a second for it.
BaseServer.serve_forever.__defaults__ = (0.02,)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test the marker of its tier, before ``-m`` chooses among them."""
    for item in items:
        tier = tier_of(item)
        if item.get_closest_marker(tier) is None:
            item.add_marker(tier)


@pytest.fixture(autouse=True)
def _no_program_in_a_unit_test(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.node.get_closest_marker("unit") is None:
        yield
    else:
        with the_guard().closed():
            yield


def missing(what: str) -> None:
    """Skip with a reason on a developer's machine, fail where peers are required."""
    if PEERS_ARE_REQUIRED:
        pytest.fail(f"{what}, and SEGNODE_REQUIRE_PEERS=1 forbids to skip")
    pytest.skip(what)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A handler that a program's own start set up writes to a stream that ends with its test."""
    root = logging.getLogger()
    handlers, level, show = list(root.handlers), root.level, warnings.showwarning
    yield
    root.handlers[:], warnings.showwarning = handlers, show
    root.setLevel(level)


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Path of a folder or file of the real test data, by its name below ``SEGNODE_TEST_DATA``."""

    def find(name: str) -> Path:
        path = DATA / name
        if not path.exists():
            missing(f"real data {name} not found below SEGNODE_TEST_DATA ({DATA})")
        return path

    return find


@pytest.fixture(scope="session")
def peer() -> Callable[[str], str]:
    """Path of another project's program (``storescu``, ``Orthanc``, ``dciodvfy``), found on PATH or in /usr/sbin."""

    def find(name: str) -> str:
        path = find_program(name)
        if path is None:
            missing(f"{name} is not installed")
        return str(path)

    return find


@pytest.fixture(scope="session")
def openvino() -> None:
    """The optional backend; its tests are skipped where it is not installed."""
    if not is_installed():
        missing("openvino is not installed")


@pytest.fixture(scope="session")
def orthanc_server(peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """An Orthanc for all tests of this process, with DICOMweb where that is installed.

    The processes of one run have one each, for a test to find it empty: in one for all it would see, and take away,
    what the others put there meanwhile.
    """
    plugins = [str(path) for path in ORTHANC_PLUGINS.glob("libOrthancDicomWeb.so")]
    server = Orthanc(peer("Orthanc"), tmp_path_factory.mktemp("orthanc"), {}, plugins=plugins).start()
    server.know("SEGNODE", "SEGNODE", free_port())
    yield server
    server.stop()


@pytest.fixture
def orthanc(orthanc_server: Orthanc) -> Orthanc:
    """An empty Orthanc, which lets a node ask; nobody stops it."""
    orthanc_server.empty()
    return orthanc_server


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """MLflow's own server with artifacts in an S3-compatible store, for all tests of this process."""
    programs = find_mlflow()
    if programs is None:
        missing("MLflow's server is not installed in an environment of its own (see .ci/run)")
    assert programs is not None
    server = MlflowServer(programs, tmp_path_factory.mktemp("mlflow"))
    yield server
    server.remove()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL for all tests of this process; the processes of one run have one each, as some tests stop theirs."""
    programs = find_postgres()
    if programs is None:
        missing("PostgreSQL is not installed")
    assert programs is not None
    server = Postgres(programs)
    yield server
    server.remove()


@pytest.fixture(scope="module")
def postgres(postgres_server: Postgres) -> Postgres:
    """A PostgreSQL with an empty database for these tests; whoever stops it starts it again."""
    postgres_server.renew()
    return postgres_server


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line per kind of model that was compared with nnU-Net, and the count of the fault table."""
    reports = [r for outcome in ("passed", "failed") for r in terminalreporter.getreports(outcome)]
    lines = [text for r in reports if r.when == "call" for key, text in r.user_properties if key == PARITY]
    if lines:
        terminalreporter.section("labels against nnU-Net's, on the CPU (profile fast: against exact)")
        terminalreporter.write_line(f"{'kind':<24}{'voxels':>9}{'mismatches':>12}   share of every label")
        for line in lines:
            terminalreporter.write_line(str(line))
    faults = [r for r in reports if r.when == "call" and any(key == FAULT for key, _ in r.user_properties)]
    if faults:
        passed = sum(r.passed for r in faults)
        terminalreporter.section("fault table")
        terminalreporter.write_line(f"faults: {passed} passed, {len(faults) - passed} failed")
    _print_seconds(terminalreporter)


def _print_seconds(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how long the tests of each folder took, where there were several, as the sum over all processes."""
    seconds: Counter[tuple[str, str]] = Counter()
    tests: Counter[str] = Counter()
    for report in (r for found in terminalreporter.stats.values() for r in found if isinstance(r, pytest.TestReport)):
        folder = report.nodeid.partition("::")[0].rpartition("/")[0]
        tests[folder] += report.when == "setup"
        tests["in all"] += report.when == "setup"
        for tier in (tier for tier in TIERS if tier in report.keywords):
            seconds[folder, tier] += report.duration
            seconds["in all", tier] += report.duration
    if len(tests) > 2:
        terminalreporter.section("seconds per folder, of all processes together")
        terminalreporter.write_line(f"{'folder':<32}{'tests':>7}{'':>9}" + "".join(f"{tier:>9}" for tier in TIERS))
        for folder in (*sorted(set(tests) - {"in all"}), "in all"):
            parts = [seconds[folder, tier] for tier in TIERS]
            figures = "".join(f"{part:>9.1f}" for part in (sum(parts), *parts))
            terminalreporter.write_line(f"{folder:<32}{tests[folder]:>7}{figures}")
