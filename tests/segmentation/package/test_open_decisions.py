"""Questions of a ``model.yaml`` that are open: who is stopped by one, and what settles it."""

import re
from pathlib import Path

import pytest

from core.errors import PackageInvalid
from core.study_warning import WarningCode
from core.version import VERSION
from segmentation.importing.add import add_package
from segmentation.package.golden_results import UNUSED_SETTINGS, Outcome, store_outcome
from segmentation.package.hashes import SUMS
from segmentation.package.import_record import RECORD, SHIPPED, ImportRecord
from segmentation.package.open_decisions import require_decided, standing_questions
from segmentation.package.package import MODEL_YAML, Package, load_package, open_package
from segmentation.package.package_warnings import warnings_at_loading, warnings_of
from segmentation.package.questions import questions_in
from segmentation.package.results_file import now, settings_hash
from tests.support.tiny_models import make_results_folder

DEMO = Path(__file__).parents[3] / "models" / "demo"


@pytest.fixture
def package(tmp_path: Path) -> Package:
    """Add a package with three open questions: orientation, geometry, and the code of a label."""
    source = make_results_folder(tmp_path / "source", "3d_fullres", labels={"background": 0, "organ": 1})
    return add_package(source, "tiny", tmp_path / "models")


def edit(package: Package, pattern: str, replacement: str) -> Package:
    """Change ``model.yaml`` and load the package anew."""
    path = package.folder / MODEL_YAML
    text, count = re.subn(pattern, replacement, path.read_text(), flags=re.MULTILINE)
    assert count
    path.write_text(text)
    return load_package(package.folder)


def without_record(package: Package) -> Package:
    """Make the package one of a version that wrote no record."""
    sums = package.folder / SUMS
    sums.write_text("".join(line for line in sums.read_text().splitlines(True) if not line.endswith(f"{RECORD}\n")))
    (package.folder / RECORD).unlink()
    return load_package(package.folder)


def pass_golden_case(package: Package, *, passed: bool = True) -> None:
    """Keep the outcome of a golden case."""
    store_outcome(
        package.folder,
        Outcome(
            when=now(),
            seal=package.seal,
            settings=settings_hash(package.config, UNUSED_SETTINGS),
            image_sha256=("0",),
            expect_sha256="0",
            voxels=1,
            dice={"organ": 1.0},
            agreement=1.0,
            device="cpu",
            passed=passed,
        ),
    )


def test_questions_stand_in_comments_alone() -> None:
    text = (
        "# DECIDE: first,\n#   on two lines:\n\n# another comment\norientation: RAS\n"
        'name: "a # DECIDE: no question"\ndescription: DECIDE  #DECIDE\nnote: |\n  # DECIDE: text\n'
        "list:\n  - type: {value: 'x'}  # DECIDE: the code\n  # DECIDED long ago\n# DECIDE: at the end\n"
    )
    assert [(one.line, one.key, one.text) for one in questions_in(text)] == [
        (1, "orientation", "first, on two lines:"),
        (7, "description", ""),
        (11, "type", "the code"),
        (13, "", "at the end"),
    ]


def test_new_package_is_not_loaded_by_a_route_until_every_question_is_deleted(package: Package) -> None:
    assert package.record is not None
    assert package.record.segnode == VERSION
    assert RECORD in package.sums
    text = (package.folder / MODEL_YAML).read_text()
    assert [one.line for one in package.questions] == [
        number for number, line in enumerate(text.splitlines(), start=1) if "DECIDE" in line
    ]
    with pytest.raises(PackageInvalid) as caught:
        require_decided(package)
    for words in ("package_undecided", f"{package.folder / MODEL_YAML}: line", "acquired", "the right code"):
        assert words in str(caught.value)
    assert [one.code for one in warnings_of(package, "cpu avx2")] == [WarningCode.PACKAGE_UNDECIDED]
    decided = edit(package, r"\s*#.*DECIDE.*$", "")
    require_decided(decided)
    assert warnings_at_loading(decided, "cpu avx2") == ()


def test_golden_case_settles_orientation_alone(package: Package) -> None:
    keys = [one.key for one in standing_questions(package)]
    assert {"orientation", "geometry"} < set(keys)
    pass_golden_case(package, passed=False)
    assert [one.key for one in standing_questions(package)] == keys
    pass_golden_case(package)
    assert [one.key for one in standing_questions(package)] == [key for key in keys if key != "orientation"]
    with pytest.raises(PackageInvalid, match="package_undecided"):
        require_decided(package)
    turned = edit(package, "^orientation: acquired", "orientation: RAS")
    assert [one.key for one in standing_questions(turned)] == keys


def test_package_without_record_runs_on_with_a_warning(package: Package) -> None:
    old = without_record(package)
    assert old.questions
    require_decided(old)
    assert warnings_of(old, "cpu avx2") == ()
    (warning,) = warnings_at_loading(old, "cpu avx2")
    assert warning.code == WarningCode.PACKAGE_WITHOUT_RECORD
    assert all(f"{one.line}" in warning.detail for one in old.questions)
    assert str(old.folder) in warning.detail


IDENTITIES = {
    "demo": "e2fbc18350d282dfd22c09c17451ba69d1469da6b5b038889b5eef8239979943",
    "totalseg-phantom": "169598907d0314215ac9a23929b68f490d1502aa4aa1c8ed8e6490bcd74895e3",
    "tumor-phantom": "819a2f65115535506b7183053d58d1d949439eb86bfd0548158edff43abb941d",
    "ureter-phantom": "5f6d0e3a797f9c729fbca91a288d99d705be65e7d2b2f1639e6e8e8f87a1b93b",
    "vessel-phantom": "c79cee3115657e990afacd087f37145a4927fa5a048a83bd29d87a8cf5e7ca6b",
}
"""Of the packages that come along: any change of a ``model.yaml``, of a comment too, gives results other UIDs."""


def test_shipped_packages_keep_their_identity() -> None:
    shipped = [open_package(path.parent) for path in sorted(DEMO.parent.glob("*/SHA256SUMS"))]
    assert {one.name: one.sha256 for one in shipped} == IDENTITIES
    assert not any((one.folder / RECORD).exists() or one.questions for one in shipped)


def test_shipped_packages_are_known_without_a_record_of_their_own() -> None:
    shipped = [open_package(path.parent) for path in sorted(DEMO.parent.glob("*/SHA256SUMS"))]
    assert {one.seal for one in shipped} == set(SHIPPED)
    assert [one.record for one in shipped] == [ImportRecord(schema_version=1, segnode=VERSION)] * len(shipped)
    found = {warning.code for one in shipped for warning in warnings_at_loading(one, "cpu avx2")}
    assert WarningCode.PACKAGE_WITHOUT_RECORD not in found


def test_record_that_is_no_record_or_not_sealed_is_refused(package: Package, tmp_path: Path) -> None:
    (package.folder / RECORD).write_text("{}")
    with pytest.raises(PackageInvalid, match=f"{RECORD}: altered"):
        load_package(package.folder)
    other = without_record(add_package(make_results_folder(tmp_path / "b"), "other", tmp_path / "models"))
    (other.folder / RECORD).write_text('{"segnode": "1"}')
    with pytest.raises(PackageInvalid, match=f"{RECORD}: not listed in {SUMS}"):
        load_package(other.folder)
