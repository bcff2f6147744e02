"""The questions about a package that nobody has answered yet, and the refusal to load it meanwhile."""

from pathlib import Path

from core.errors import PackageInvalid
from core.model_config import ModelConfig
from core.study_warning import WarningCode
from segmentation.package.golden_results import is_commissioned
from segmentation.package.hashes import SUMS, sha256_of_bytes
from segmentation.package.import_record import RECORD
from segmentation.package.package import MODEL_YAML, Package
from segmentation.package.questions import Question, questions_in


def standing_questions(package: Package) -> tuple[Question, ...]:
    """Return the open questions of a package; a golden case that passed settles that of the orientation alone.

    Raises
    ------
    PackageInvalid
        If the outcomes of golden cases are damaged.
    """
    return _unsettled(package.questions, package.folder, package.seal, package.config)


def forbidding_questions(package: Package) -> tuple[Question, ...]:
    """Return the questions while which neither a route nor the service loads a package.

    A package without a record of its import is older than this demand, and runs on with a warning.

    Raises
    ------
    PackageInvalid
        As `standing_questions`.
    """
    return standing_questions(package) if package.record is not None else ()


def is_undecided(folder: Path, text: str, config: ModelConfig) -> bool:
    """Tell the same of a package's folder, its ``model.yaml`` and the same parsed, without reading weights.

    Raises
    ------
    PackageInvalid
        As `standing_questions`.
    OSError
        If the list of hashes cannot be read.
    """
    if not (folder / RECORD).exists():
        return False
    seal = sha256_of_bytes((folder / SUMS).read_bytes())
    return bool(_unsettled(questions_in(text), folder, seal, config))


def _unsettled(questions: tuple[Question, ...], folder: Path, seal: str, config: ModelConfig) -> tuple[Question, ...]:
    if any(one.key == "orientation" for one in questions) and is_commissioned(folder, seal, config):
        return tuple(one for one in questions if one.key != "orientation")
    return questions


def require_decided(package: Package) -> None:
    """Refuse a package for a route, or for an alias of the service, while a question about it is open.

    Raises
    ------
    PackageInvalid
        ``package_undecided`` with every question, its line, and what to do.
    """
    questions = forbidding_questions(package)
    if questions:
        path, name = package.folder / MODEL_YAML, package.folder.name
        raise PackageInvalid(
            f"{path}: {WarningCode.PACKAGE_UNDECIDED}: no route and no alias may load {name} while a question is open; "
            "answer each and delete its comment:\n" + "\n".join(f"{path}: {question}" for question in questions)
        )
