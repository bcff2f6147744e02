"""A model package: a folder that holds all that a trained nnU-Net needs to run, sealed by hashes.

::

    models/NAME/
    ├── model.yaml                        edited by people: series, labels, codes, post-processing
    ├── manifest.json                     the plans, normalised; all that running reads of them
    ├── nnunet/CONFIGURATION/*.json       the files that KEPT_JSON names, byte for byte as found
    ├── weights/CONFIGURATION/fold_0.safetensors
    ├── added.json                        version of the program that made it (import_record.py)
    ├── SHA256SUMS                        of all of the above except model.yaml
    ├── commissioning.json                outcomes of golden cases (golden_results.py)
    └── measurements.json                 loss and gain of each profile (profile_results.py)

``Package.sha256`` is the SHA-256 of the line-wise hashes of ``SHA256SUMS`` and ``model.yaml``: another weight, plan,
label or rule is another package, while a golden case that is added later is not.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from core.errors import PackageInvalid
from core.model_config import Inference, ModelConfig, Profile, parse_model_config
from core.run_options import NO_OPTIONS, RunOptions
from segmentation.package.agreement import check_agreement
from segmentation.package.golden_results import require_commissioning
from segmentation.package.hashes import SUMS, check_sums, parse_sums, sha256_of_bytes
from segmentation.package.import_record import RECORD, ImportRecord, parse_record, shipped_record
from segmentation.package.network_spec import Configuration, Fold, PackageManifest
from segmentation.package.questions import Question, questions_in
from segmentation.package.used_profile import used_profile

MODEL_YAML = "model.yaml"
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Package:
    """A package whose hashes held when it was loaded.

    Attributes
    ----------
    folder
        Path of the package.
    config
        Its ``model.yaml``.
    manifest
        Its ``manifest.json``.
    sums
        SHA-256 of every sealed file by its name in the folder.
    seal
        SHA-256 of ``SHA256SUMS``: weights and plans.
    sha256
        Identity of the whole: weights, plans and ``model.yaml``.
    record
        Which version of this program made it; ``None`` if it is older than that record.
    questions
        The open questions of its ``model.yaml``.
    used_profile
        The profile that ``segnode models measure --use`` wrote into it; ``None`` if a person did, or nobody.
    options
        The options of the runs for which it is handed on, beside what it holds.
    """

    folder: Path
    config: ModelConfig
    manifest: PackageManifest
    sums: dict[str, str]
    seal: str
    sha256: str
    record: ImportRecord | None = None
    questions: tuple[Question, ...] = ()
    used_profile: Profile | None = None
    options: RunOptions = NO_OPTIONS

    @property
    def name(self) -> str:
        """The name in ``model.yaml``."""
        return self.config.name

    def folds_of(self, configuration: Configuration) -> list[Fold]:
        """List the sets of weights with which a configuration runs: those that ``model.yaml`` names, else all."""
        wanted = self.config.inference.folds
        return [fold for fold in configuration.folds if not wanted or fold.fold in wanted]

    @property
    def passes(self) -> list[Configuration]:
        """The configurations in the order in which they run, the first stages of cascades before the second ones."""
        found: list[Configuration] = []
        for member in map(self.manifest.configuration, self.manifest.members):
            if member.previous_stage:
                found.append(self.manifest.configuration(member.previous_stage))
            found.append(member)
        return found

    @property
    def weight_bytes(self) -> int:
        """Size in bytes of the weights with which the package runs."""
        files = [fold.file for c in self.manifest.configurations for fold in self.folds_of(c)]
        return sum((self.folder / file).stat().st_size for file in files)

    @property
    def inference(self) -> Inference:
        """The settings with which its networks run: those of ``model.yaml``, and the options beside it."""
        return self.options.inference(self.config)

    def with_options(self, options: RunOptions) -> "Package":
        """Return the same package with the options of a run."""
        return replace(self, options=options)

    def in_profile(self, profile: Profile) -> "Package":
        """Return the same package for runs in this profile instead of the one in ``model.yaml``."""
        return self.with_options(replace(self.options, profile=profile))


def load_package(folder: Path) -> Package:
    """Load a package for use: check every hash, and the golden cases if the trainer requires them.

    Raises
    ------
    PackageInvalid
        If anything is missing, altered, contradictory or not commissioned; the text names file and reason.
    """
    package = open_package(folder)
    require_commissioning(package.folder, package.manifest.trainers, package.seal, package.config)
    return package


def open_package(folder: Path) -> Package:
    """Load a package as :func:`load_package` does, but without requiring that it is commissioned.

    Raises
    ------
    PackageInvalid
        If anything is missing, altered or contradictory; the text names file and reason.
    """
    if not folder.is_dir():
        raise PackageInvalid(f"{folder}: there is no package folder at this path")
    # What is parsed is what was hashed, in one read: a file that is replaced meanwhile would lend its hash to another.
    listing, text = _read(folder / SUMS), _read(folder / MODEL_YAML)
    sums = parse_sums(listing, folder / SUMS)
    check_sums(folder, sums)
    manifest = _read_manifest(folder / MANIFEST, sums)
    config = parse_model_config(text, folder / MODEL_YAML)
    check_agreement(folder / MODEL_YAML, text.decode("utf-8"), config, manifest)
    seal = sha256_of_bytes(listing)
    identity = f"{seal}  {SUMS}\n{sha256_of_bytes(text)}  {MODEL_YAML}\n"
    return Package(
        folder=folder,
        config=config,
        manifest=manifest,
        sums=sums,
        seal=seal,
        sha256=sha256_of_bytes(identity.encode()),
        record=_read_record(folder / RECORD, sums) or shipped_record(seal),
        questions=questions_in(text.decode("utf-8")),
        used_profile=used_profile(text.decode("utf-8")),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PackageInvalid(f"{path}: {error.strerror or error}") from error


def _read_sealed(path: Path, sums: dict[str, str]) -> bytes:
    content = _read(path)
    if sha256_of_bytes(content) != sums[path.name]:
        raise PackageInvalid(f"{path}: changed while the package was loaded; load it again")
    return content


def _read_record(path: Path, sums: dict[str, str]) -> ImportRecord | None:
    if RECORD in sums:
        return parse_record(_read_sealed(path, sums), path)
    if path.exists():
        raise PackageInvalid(f"{path}: not listed in {SUMS}")
    return None


def _read_manifest(path: Path, sums: dict[str, str]) -> PackageManifest:
    if MANIFEST not in sums:
        raise PackageInvalid(f"{path}: not listed in {SUMS}")
    content = _read_sealed(path, sums)
    try:
        manifest = PackageManifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise PackageInvalid(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    files = [fold.file for c in manifest.configurations for fold in c.folds]
    unsealed = [name for name in files if name not in sums]
    if unsealed:
        raise PackageInvalid(f"{path}: weights {unsealed} are not listed in {SUMS}")
    return manifest
