"""The questions about a package that nobody has answered yet, and the refusal of a route to load it meanwhile."""

from core.errors import PackageInvalid
from core.study_warning import WarningCode
from segmentation.package.golden_results import is_commissioned
from segmentation.package.package import MODEL_YAML, Package
from segmentation.package.questions import Question


def standing_questions(package: Package) -> tuple[Question, ...]:
    """Return the open questions of a package; a golden case that passed settles that of the orientation alone.

    Raises
    ------
    PackageInvalid
        If the outcomes of golden cases are damaged.
    """
    questions = package.questions
    if any(one.key == "orientation" for one in questions) and is_commissioned(
        package.folder, package.seal, package.config
    ):
        return tuple(one for one in questions if one.key != "orientation")
    return questions


def require_decided(package: Package) -> None:
    """Refuse a package for a route while a question about it is open.

    A package without a record of its import is older than this demand, and runs on with a warning.

    Raises
    ------
    PackageInvalid
        ``package_undecided`` with every question, its line, and what to do.
    """
    questions = standing_questions(package) if package.record is not None else ()
    if questions:
        path, name = package.folder / MODEL_YAML, package.folder.name
        raise PackageInvalid(
            f"{path}: {WarningCode.PACKAGE_UNDECIDED}: no route may load {name} while a question is open; "
            "answer each and delete its comment:\n" + "\n".join(f"{path}: {question}" for question in questions)
        )
