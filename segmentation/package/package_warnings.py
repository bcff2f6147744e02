"""Warnings about a package that runs all the same."""

from core.study_warning import StudyWarning
from segmentation.package.package import Package
from segmentation.package.profile_results import warning_of


def warnings_of(package: Package) -> tuple[StudyWarning, ...]:
    """Return every warning about a package, whichever study it runs on; each names the model.

    Raises
    ------
    PackageInvalid
        If what was measured of the package is damaged.
    """
    found = (warning_of(package),)
    return tuple(warning for warning in found if warning is not None)
